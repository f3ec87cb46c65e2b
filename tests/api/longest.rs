//! The longest that operators and clients may bring to the real server, and be told by it, and one
//! byte more: C174, C178, C197.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::client::{Door, call, ctl, login, raw};
use crate::model::host::Host;
use crate::model::server::{Server, free_ports};
use crate::model::target::Target;
use crate::{PASSWORD, with_anna};

const MIB: usize = 1024 * 1024;
/// The longest line of a command.
const LINE: usize = 512;

/// What the control socket says to these bytes; nothing if they were not heard.
fn control(server: &Server, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(server.data().join("hbb.sock")).unwrap();
    let (mut said, mut reads) = (String::new(), stream.try_clone().unwrap());
    if stream.write_all(bytes).is_ok() {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = reads.read_to_string(&mut said);
    }
    said
}

/// So long a table of entries, of which there is one.
fn entries(bytes: usize) -> String {
    let (begin, end) = (r#"[{"id":"111222333"}"#, "]");
    [begin, &" ".repeat(bytes - begin.len() - end.len()), end].concat()
}

#[test]
fn c178_an_operator_brings_four_mebibytes_of_entries_and_no_more() {
    let server = with_anna(&[]);
    ctl(&server, &["book", "add", "anna/x"], "").unwrap();
    let import = |bytes: usize| ctl(&server, &["book", "import", "anna/x"], &entries(bytes));
    assert_eq!(import(4 * MIB), Ok("Entries that were read: 1.\n".into()));
    assert!(import(4 * MIB + 1).unwrap_err().contains("more than 4 MiB: give them in parts"));
    // Whoever asks the server itself has the bytes of a line more.
    let line = "text book import anna/x\n";
    let brought =
        |bytes: usize| control(&server, [line, &entries(bytes - line.len())].concat().as_bytes());
    assert_eq!(brought(LINE + 4 * MIB), "+Entries that were read: 1.\n");
    assert_eq!(brought(LINE + 4 * MIB + 1), "");
}

#[test]
fn c178_what_an_operator_brings_is_there_in_ten_seconds() {
    let server = with_anna(&[]);
    ctl(&server, &["book", "add", "anna/x"], "").unwrap();
    let mut stream = UnixStream::connect(server.data().join("hbb.sock")).unwrap();
    let begin = Instant::now();
    stream.write_all(b"text book import anna/x\n[").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let ended = loop {
        match stream.read(&mut [0]) {
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => {}
            ended => break ended,
        }
        if stream.write_all(b" ").is_err() {
            break Ok(0);
        }
    };
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert!((10..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(ctl(&server, &["status"], "").is_ok());
}

#[test]
fn c174_a_body_has_so_many_bytes_and_more_where_a_device_is_known() {
    let port = free_ports();
    let flags = ["--api", &port.to_string(), "--trusted-proxies", "192.0.2.1"];
    let server = with_anna(&flags);
    let status = |bytes: usize| {
        let head = format!("POST /api/login HTTP/1.1\r\nContent-Length: {bytes}\r\n\r\n");
        let said = raw(port, &[head.as_bytes(), &vec![b' '; bytes]].concat());
        said.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    // Blanks are no login.
    assert_eq!([65_536, 65_537].map(status), ["400", "413"]);
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let _target = Target::register(&Host::local("127.0.0.1"), at, "123456789", &server.key());
    assert_eq!([65_537, 262_144, 262_145].map(status), ["400", "400", "413"]);
}

#[test]
fn c197_the_page_is_given_a_long_answer_whole_or_not_at_all() {
    const MOST: usize = 256 * 1024;
    let port = free_ports();
    let server = with_anna(&["--web", &format!("127.0.0.1:{port}")]);
    ctl(&server, &["user", "set", "anna", "admin=yes"], "").unwrap();
    let token =
        call((&server, Door::Sealed), ("POST", "/api/login"), None, &login("anna", PASSWORD));
    let token = token.text("access_token");
    ctl(&server, &["book", "add", "anna/x"], "").unwrap();
    let mut of_last = 1;
    let exported = |of_last: usize| {
        let row = |id: usize, bytes: usize| format!("{},{}\n", 1_000 + id, "a".repeat(bytes));
        let rows: String = (0..149).map(|id| row(id, 1_722)).collect();
        let table = ["id,alias\n", &rows, &row(149, of_last)].concat();
        ctl(&server, &["book", "import", "--replace", "anna/x"], &table).unwrap();
        ctl(&server, &["--json", "book", "export", "anna/x"], "").unwrap()
    };
    // With the letter that says that it was carried out.
    of_last += MOST - 1 - exported(of_last).len();
    let asked = || {
        let body = r#"["book","export","anna/x"]"#;
        let head = format!(
            "POST /ctl HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Hbb: 1\r\n\
             Cookie: hbb-session={token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let said = raw(port, head.as_bytes());
        said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said}")).1.to_owned()
    };
    let longest = exported(of_last);
    assert_eq!(longest.len(), MOST - 1);
    assert!(asked() == longest);
    exported(of_last + 1);
    assert_eq!(asked(), "");
}
