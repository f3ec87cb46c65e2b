//! Bounds of the accounts machine that no other test reaches, each at its limit: what comes then is
//! told so, and what is there stays. C165 to C169, C178, C193, C199.

use hbb_core::accounts::call::HttpCall;
use hbb_core::accounts::{Command, Hashed, Input, Told};
use hbb_core::base::conn::{Conn, SaveRank};
use hbb_core::base::json::Value;
use hbb_core::base::limits::{AccountLimits, USERS_CEILING};
use hbb_core::base::peer::PeerId;
use hbb_core::base::time::Time;

use crate::client::login;
use crate::machine::{Drive, TOO_MANY, error, text};

/// Logins of a minute that a known address may have; then it is another minute.
fn many(users: usize) -> Drive {
    Drive::new(AccountLimits { users, password_kib: 4096, ..AccountLimits::default() })
}

fn with_code(drive: &mut Drive, secret: &str) -> String {
    let body = format!(r#"{{"tfaCode":"000000","secret":"{secret}","type":"email_code"}}"#);
    error(&drive.post("/api/login", None, &body))
}

/// Somebody tries a wrong password there; whether it was looked at.
fn tries(drive: &mut Drive, from: &str, known: bool, user: &str) -> bool {
    let conn = drive.log_in(from, known, &login(user, "wrong"));
    if drive.hashing {
        drive.hashed(Hashed::Fits(false));
    }
    let said = error(&drive.answer(conn).unwrap());
    assert!(["Wrong credentials", TOO_MANY].contains(&&*said), "{said}");
    said != TOO_MANY
}

#[test]
fn c166_one_address_strangers_and_all_have_so_many_logins_a_minute() {
    let mut drive = many(1);
    let one = |drive: &mut Drive| tries(drive, "198.51.100.1", true, "x");
    assert!((0..10).all(|_| one(&mut drive)) && !one(&mut drive));
    drive.now = Time::from_millis(59_999);
    assert!(!one(&mut drive));
    drive.now = Time::from_millis(60_000);
    assert!((0..10).all(|_| one(&mut drive)) && !one(&mut drive));

    let mut drive = many(1);
    drive.add("anna");
    drive.token("anna");
    drive.now = Time::from_millis(60_000);
    let mut from =
        |known, network: u32| tries(&mut drive, &format!("10.0.{network}.1"), known, "x");
    assert!((0..30).all(|network| from(false, network)) && !from(false, 30), "strangers");
    assert!((31..61).all(|network| from(true, network)) && !from(true, 61), "all");
    assert!(!drive.token("anna").is_empty(), "but for users at home");
}

/// A client that is broken logs in again and again, rightly, in an office behind one address.
#[test]
fn c166_who_logs_in_without_end_at_home_keeps_no_user_there_out() {
    let mut drive = many(2);
    drive.add("anna");
    drive.add("bert");
    drive.token("bert");
    for _ in 0..50 {
        let conn = drive.log_in("192.0.2.1", true, &login("anna", "right"));
        if drive.hashing {
            drive.hashed(Hashed::Fits(true));
        }
        drive.answer(conn).unwrap();
    }
    assert!(!drive.token("bert").is_empty());
}

#[test]
fn c166_a_user_has_twenty_wrong_passwords_in_ten_minutes_from_elsewhere() {
    let mut drive = many(2);
    drive.add("anna");
    let from = |drive: &mut Drive, known, host: u32, user: &str| {
        tries(drive, &format!("10.{host}.0.1"), known, user)
    };
    for (known, hosts) in [(true, 0..20), (false, 100..120)] {
        assert!(hosts.clone().all(|host| from(&mut drive, known, host, "anna")));
        assert!(!from(&mut drive, known, hosts.end, "anna"), "one more");
        drive.now = drive.now.after_ms(60_000);
    }
    assert!(from(&mut drive, true, 30, "bert"), "another user");
    drive.now = Time::from_millis(599_999);
    assert!(!from(&mut drive, true, 31, "anna"));
    drive.now = Time::from_millis(600_000);
    assert!(from(&mut drive, true, 31, "anna"));
}

#[test]
fn c167_a_password_and_what_is_said_of_a_user_have_their_lengths() {
    let mut drive = many(9);
    let mut add = |user: &str, bytes: usize| {
        drive.ask(Command::Add { name: user.into(), password: "x".repeat(bytes) });
        drive.hashing.then(|| drive.hashed(Hashed::Failed));
        drive.told.pop().unwrap()
    };
    for (bytes, said) in [(7, "8 to 256"), (8, "memory"), (256, "memory"), (257, "8 to 256")] {
        assert!(matches!(add("anna", bytes), Told::Refused(why) if why.contains(said)), "{bytes}");
    }
    // As a page may send it; nobody could type it into a client.
    drive.ask(Command::Add { name: "anna".into(), password: "two lines\nof it".into() });
    assert!(matches!(drive.told.pop(), Some(Told::Refused(why)) if why.contains("one line")));
    drive.add("anna");
    for field in ["display", "email", "note"] {
        for bytes in [256, 257] {
            drive.ask(Command::Set("anna".into(), format!("{field}={}", "x".repeat(bytes))));
            let is_done = matches!(drive.told.pop(), Some(Told::Done(_)));
            assert_eq!(is_done, bytes == 256, "{field}");
        }
    }
    // The longest that a client shows is looked at; one that is longer fits nothing.
    let mut looked_at = |password: usize, device: usize| {
        let body = login("anna", &"x".repeat(password)).replace("123456789", &"1".repeat(device));
        let conn = drive.log_in("192.0.2.1", true, &body);
        let is_looked_at = drive.hashing;
        drive.hashing.then(|| drive.hashed(Hashed::Fits(false)));
        assert_eq!(error(&drive.answer(conn).unwrap()), "Wrong credentials");
        is_looked_at
    };
    assert!(looked_at(256, 48) && !looked_at(257, 48) && !looked_at(256, 49));
}

#[test]
fn c169_of_sixty_five_logins_that_wait_for_a_code_the_oldest_gave_way() {
    let mut drive = many(1);
    drive.add("anna");
    drive.ask(Command::Totp("anna".into(), true));
    // Faster than they end: each of them waits for five minutes.
    let began = drive.now;
    let mut secrets = Vec::new();
    for address in 0..13 {
        for _ in 0..5 {
            let conn = drive.log_in(&format!("192.0.2{address}.1"), true, &login("anna", "right"));
            if drive.hashing {
                drive.hashed(Hashed::Fits(true));
            }
            secrets.push(text(&drive.answer(conn).unwrap(), "secret"));
        }
        if address % 4 == 3 {
            drive.now = drive.now.after_ms(61_000);
        }
    }
    assert_eq!(secrets.len(), 65);
    drive.now = began.after_ms(290_000);
    assert!(with_code(&mut drive, &secrets[0]).contains("Log in again"), "it gave way");
    assert!(with_code(&mut drive, &secrets[1]).contains("code is wrong"), "it waits");
    drive.now = began.after_ms(300_000);
    assert!(with_code(&mut drive, &secrets[1]).contains("Log in again"), "it is over");
    assert!(with_code(&mut drive, &secrets[64]).contains("code is wrong"), "it came later");
}

#[test]
fn c165_fifty_six_changes_wait_for_the_store_and_one_more_is_told_to_try_again() {
    let mut drive = many(65);
    let tokens: Vec<String> = (0..57)
        .map(|number| {
            let name = format!("user{number}");
            assert_eq!(drive.add(&name), Told::Done("The user was added."));
            drive.now = drive.now.after_ms(61_000);
            drive.token(&name)
        })
        .collect();
    drive.holds = true;
    let calls: Vec<Conn> = tokens
        .iter()
        .map(|token| {
            let shown = format!("Bearer {token}");
            let call = HttpCall::new("POST", "/api/ab/personal", Some(&shown), Vec::new());
            drive.call("192.0.2.1", true, &call)
        })
        .collect();
    let refused = drive.answer(calls[56]).expect("an answer at once");
    assert!(error(&refused).contains("busy"));
    // Eight more are an operator's.
    for number in 0..9 {
        assert!(drive.told.is_empty());
        drive.ask(Command::Set(format!("user{number}"), "note=x".into()));
    }
    assert!(matches!(drive.told.pop(), Some(Told::Refused(said)) if said.contains("busy")));
    assert!(calls[..56].iter().all(|conn| drive.answer(*conn).is_none()), "they wait");
    drive.release_but(0);
    assert!(calls[..56].iter().all(|conn| drive.answer(*conn).is_some_and(|it| it.status == 200)));
    // Nothing is left of the one that was refused.
    assert_eq!(drive.post("/api/ab/personal", Some(&tokens[56]), "").status, 200);
}

#[test]
fn c167_as_many_users_as_a_small_router_has_and_no_more() {
    let mut drive = many(AccountLimits::default().users);
    for number in 0..64 {
        assert_eq!(drive.add(&format!("user{number}")), Told::Done("The user was added."));
    }
    assert!(matches!(drive.add("user64"), Told::Refused(said) if said.contains("--max-users")));
    drive.told.clear();
    drive.ask(Command::Remove("user0".into()));
    drive.told.clear();
    let long = "x".repeat(64);
    assert!(matches!(drive.add(&format!("{long}x")), Told::Refused(_)), "65 letters");
    drive.told.clear();
    assert_eq!(drive.add(&long), Told::Done("The user was added."));
}

#[test]
fn c167_of_as_many_users_as_there_may_ever_be_none_is_lost_and_one_more_is_none() {
    let mut drive = many(USERS_CEILING);
    for number in 0..USERS_CEILING {
        assert_eq!(drive.add(&format!("user{number}")), Told::Done("The user was added."));
    }
    assert!(matches!(drive.add("more"), Told::Refused(said) if said.contains("--max-users")));
    // After a restart, with a limit of 64, those that are stored are there.
    let mut again = drive.restarted();
    let row = drive.rows[&b"uuser0"[..]].clone();
    assert!(again.load(b"uuser0", Some(&row)) && !again.load(b"umore", Some(&row)));
    assert_eq!(again.load_now().users, USERS_CEILING);
}

#[test]
fn c168_a_user_has_sixteen_logins_and_the_first_gives_way() {
    let mut drive = many(1);
    drive.add("anna");
    let tokens: Vec<String> = (0..17)
        .map(|number| {
            drive.now = drive.now.after_ms(61_000);
            let body = login("anna", "right").replace("123456789", &format!("1234567{number:02}"));
            let conn = drive.log_in("192.0.2.1", true, &body);
            drive.hashed(Hashed::Fits(true));
            text(&drive.answer(conn).unwrap(), "access_token")
        })
        .collect();
    let good =
        |drive: &Drive, number: usize| drive.accounts.who(drive.now, &tokens[number]).is_ok();
    assert!(!good(&drive, 0) && (1..17).all(|number| good(&drive, number)));
    assert_eq!(drive.accounts.load_now().tokens, 16);
}

#[test]
fn c178_a_page_has_five_hundred_entries_whatever_is_asked_for() {
    let mut drive = many(1);
    drive.add("anna");
    let token = drive.token("anna");
    let guid = text(&drive.post("/api/ab/personal", Some(&token), ""), "guid");
    let peers: Vec<String> = (0..600).map(|id| format!(r#"{{\"id\":\"{id}\"}}"#)).collect();
    let whole = format!(r#"{{"data":"{{\"tags\":[],\"peers\":[{}]}}"}}"#, peers.join(","));
    assert_eq!(drive.post("/api/ab", Some(&token), &whole).status, 200);
    for (page, count) in [(1, 500), (2, 100), (3, 0)] {
        let path = format!("/api/ab/peers?current={page}&pageSize=99999&ab={guid}");
        let answer = drive.post(&path, Some(&token), "");
        let body = str::from_utf8(&answer.body).unwrap();
        let said = Value::parse(body).unwrap();
        assert_eq!(said.get("data").unwrap().items().count(), count);
        assert_eq!(said.get("total").and_then(Value::number), Some(600));
    }
}

#[test]
fn c193_of_a_device_with_many_connections_thirty_two_are_known() {
    let mut drive = many(1);
    let id = PeerId::new("123456789").unwrap();
    let conns: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let beat = format!(r#"{{"id":"123456789","uuid":"MTIz","conns":[{}]}}"#, conns.join(","));
    drive.accounts.set_device(Some(id.clone()));
    assert_eq!(drive.post("/api/heartbeat", None, &beat).status, 200);
    assert_eq!(drive.accounts.device(&id).unwrap().connections, 32);
    assert!(drive.accounts.end_connections(drive.now, &id));
    drive.accounts.set_device(Some(id.clone()));
    let told = drive.post("/api/heartbeat", None, &beat);
    let said = Value::parse(str::from_utf8(&told.body).unwrap()).unwrap();
    assert_eq!(said.get("disconnect").unwrap().items().count(), 32);
    // The wish is over when it was not asked for in time.
    assert!(drive.accounts.end_connections(drive.now, &id));
    drive.now = Time::from_millis(drive.now.as_millis() + 30_001);
    drive.accounts.set_device(Some(id));
    let told = drive.post("/api/heartbeat", None, &beat);
    assert!(!str::from_utf8(&told.body).unwrap().contains("disconnect"));
}

/// A login stores where the user is now, beside the password and all else.
#[test]
fn c165_what_is_taken_back_takes_back_nothing_that_came_later() {
    for put_off in 0..=3 {
        let mut drive = many(2);
        drive.add("anna");
        drive.ask(Command::Set("anna".into(), "admin=yes".into()));
        drive.holds = true;
        for from in ["198.51.100.1", "203.0.113.1"] {
            drive.log_in(from, true, &login("anna", "right"));
            drive.hashed(Hashed::Fits(true));
        }
        drive.ask(Command::Set("anna".into(), "note=left".into()));
        drive.ask(Command::Disable("anna".into(), true));
        drive.release_but(put_off);
        let listed = |drive: &mut Drive| {
            drive.ask(Command::List);
            let Some(Told::Users(mut rows)) = drive.told.pop() else { panic!() };
            let row = rows.remove(0);
            (row.is_disabled, row.note, row.tokens)
        };
        let here = listed(&mut drive);
        assert_eq!(here, (true, "left".into(), 0), "{put_off} put off");
        drive.accounts = drive.restarted();
        assert_eq!(listed(&mut drive), here, "{put_off} put off, after a restart");
    }
}

/// Of one user, who has an account and many addresses.
#[test]
fn c199_a_user_who_logs_in_without_end_keeps_nobody_else_out() {
    let mut drive = many(2);
    for user in ["anna", "bert"] {
        drive.add(user);
    }
    drive.now = Time::from_millis(60_000);
    let mut token = drive.token("anna");
    drive.token("bert");
    let logs_in = |drive: &mut Drive, token: &str, network: u32| {
        let from = format!("203.0.{network}.1");
        let shown = format!("Bearer {token}");
        let home = HttpCall::new("POST", "/api/currentUser", Some(&shown), b"{}".to_vec());
        let asked = drive.call(&from, false, &home);
        assert_eq!(drive.answer(asked).unwrap().status, 200, "she is at home there");
        drive.log_in(&from, false, &login("anna", "right"))
    };
    let mut looked_at = 0;
    let mut flood = |drive: &mut Drive, count| {
        for network in 0..count {
            let asked = logs_in(drive, &token, network);
            if drive.hashing {
                drive.hashed(Hashed::Fits(true));
                token = text(&drive.answer(asked).unwrap(), "access_token");
                looked_at += 1;
            }
        }
        (looked_at, token.clone())
    };
    // At home, then as all strangers.
    assert_eq!(flood(&mut drive, 200).0, 20 + 30);
    drive.now = Time::from_millis(120_000);
    let (_, token) = flood(&mut drive, 20);
    // Nor do hers that wait fill the places of who is at home.
    for network in 0..30 {
        logs_in(&mut drive, &token, network);
    }
    let asked = drive.log_in("192.0.2.1", true, &login("bert", "right"));
    assert!(drive.answer(asked).is_none(), "it waits");
    (0..2).for_each(|_| drive.hashed(Hashed::Fits(true)));
    assert!(!text(&drive.answer(asked).unwrap(), "access_token").is_empty());
}

#[test]
fn c199_who_changes_much_in_a_day_is_put_off_first_and_fills_no_queue() {
    let mut drive = many(2);
    for user in ["anna", "bert"] {
        drive.add(user);
    }
    let [anna, bert] = ["anna", "bert"].map(|user| drive.token(user));
    let guid = |drive: &mut Drive, token: &str| {
        text(&drive.post("/api/ab/personal", Some(token), ""), "guid")
    };
    let books = [guid(&mut drive, &anna), guid(&mut drive, &bert)];
    let edit = |drive: &mut Drive, of: usize, number: usize| {
        let path = format!("/api/ab/peer/add/{}", books[of]);
        let shown = format!("Bearer {}", [&anna, &bert][of]);
        let body = format!(r#"{{"id":"{number}"}}"#);
        let call = HttpCall::new("POST", &path, Some(&shown), body.into_bytes());
        drive.call("192.0.2.1", true, &call)
    };
    let ranks = |drive: &mut Drive| std::mem::take(&mut drive.ranks);
    ranks(&mut drive);
    // A login and the book were changes, too.
    for number in 0..31 {
        edit(&mut drive, 0, 1_000 + number);
    }
    let seen = ranks(&mut drive);
    assert_eq!(seen.iter().filter(|rank| **rank == SaveRank::Known).count(), 30);
    assert_eq!(seen.last(), Some(&SaveRank::Stranger));
    edit(&mut drive, 1, 1_000);
    assert_eq!(ranks(&mut drive), [SaveRank::Known], "another user");
    drive.holds = true;
    let waits = (0..60).filter(|number| {
        let asked = edit(&mut drive, 0, 2_000 + number);
        drive.answer(asked).is_none()
    });
    assert_eq!(waits.count(), 24);
    let asked = edit(&mut drive, 1, 2_000);
    assert!(drive.answer(asked).is_none(), "there is room for others");
    drive.release_but(0);
    drive.now = drive.now.after_ms(24 * 3_600_000);
    ranks(&mut drive);
    edit(&mut drive, 0, 3_000);
    assert_eq!(ranks(&mut drive), [SaveRank::Known], "the next day");
}

/// Whatever there is left to write.
#[test]
fn c199_who_logs_out_is_not_put_off() {
    let mut drive = many(1);
    drive.add("anna");
    let token = drive.token("anna");
    drive.ranks.clear();
    drive.post("/api/logout", Some(&token), "{}");
    assert_eq!(drive.ranks, [SaveRank::Operator]);
    // Nor is what a device is taken out of that an operator had forgotten.
    let id = PeerId::new("123456789").unwrap();
    drive.ask(Command::Group(id.clone(), "sales".into()));
    drive.ranks.clear();
    drive.give(Input::Moved(&id, None));
    assert_eq!(drive.ranks, [SaveRank::Operator]);
}
