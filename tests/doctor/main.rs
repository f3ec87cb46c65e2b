//! `hbb doctor` against real servers in namespaces: each port closed in turn, keys that are wrong
//! or old, relays that are dead, proxies that lose headers. It names what it should and no more.
//! C159.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "proxies take time to start")]

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

#[path = "../sim/chance.rs"]
mod chance;
#[path = "../model/mod.rs"]
mod model;
mod net;
#[path = "../conformance/say.rs"]
mod say;

use model::host::{Host, again};
use model::server::{Server, free_ports};
use model::wire::{receive, send};
use net::{CLIENT, DEVICE, NOBODY, Net, SERVER, SERVER_V6, Said, ip, proxy_before};
use say::take;

/// Of another server.
const OTHER_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const OTHER_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TW\
                            MJulDV8d3IZkElUxuA==";

const ALL: [&str; 7] = ["api", "nat", "relay", "tcp", "udp", "websocket", "websocket-relay"];

#[test]
fn c159_a_plain_server_is_well_over_ipv4_and_ipv6_and_keeps_nothing() {
    let net = Net::new("well");
    let server = net.serve(&[]);
    for (host, at) in [(SERVER, "203.0.113.1:"), (SERVER_V6, "[2001:db8::1]:")] {
        let said = net.ask(host, server.port, &["--key", &server.key()]);
        said.is_wrong_in(&[]);
        let well = said.checks("ok");
        assert!(ALL.iter().all(|check| well.contains(check)), "{said:#?}");
        ALL.iter().for_each(|check| said.says(check, &[at]));
        said.says("key", &["signs with it"]);
        said.says("proxy", &["not tried"]);
        said.says("clock", &["nobody told the time"]);
    }
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let peers = ctl.args(["ctl", "--json", "--data"]).arg(server.data()).arg("peers").output();
    assert!(!String::from_utf8(peers.unwrap().stdout).unwrap().contains("hbb-doctor"));
    assert!(!server.log().contains("peer-new"), "{}", server.log());
    assert!(!server.log().contains("refused"), "{}", server.log());
}

#[test]
fn c159_one_port_is_well_and_no_key_is_said() {
    let net = Net::new("one");
    let server = net.serve(&["--single-port", "--public", SERVER]);
    let flags = ["--single-port", "--key", &server.key()];
    let said = net.ask(SERVER, server.port, &flags);
    said.is_wrong_in(&[]);
    let well = ["dns", "key", "relay", "tcp", "udp", "websocket", "websocket-relay"];
    assert_eq!(said.checks("ok"), well, "{said:#?}");
    let said = net.ask(SERVER, server.port, &["--single-port"]);
    said.is_wrong_in(&[]);
    said.says("key", &["note", "clients must show it", "give --key"]);
    said.says("relay", &["note", "legs that show no key"]);
}

#[test]
fn c159_each_port_that_is_closed_is_named() {
    let net = Net::new("closed");
    // Seven at once, from one address: neither the server nor the kernel minds that here.
    let server = net.serve(&["--max-connections", "1024", "--max-sessions", "128"]);
    ip(&format!("netns exec {} sysctl -qw net.ipv4.icmp_ratelimit=0", net.name("s")));
    let key = server.key();
    let port = server.port;
    let ports = [
        ("api", "tcp", port - 2),
        ("nat", "tcp", port - 1),
        ("tcp", "tcp", port),
        ("udp", "udp", port),
        ("relay", "tcp", port + 1),
        ("websocket", "tcp", port + 2),
        ("websocket-relay", "tcp", port + 3),
    ];
    let mut rules = Vec::new();
    let mut cases = Vec::new();
    for (number, (check, kind, port)) in ports.into_iter().enumerate() {
        for (verdict, base, text) in
            [("drop", 10, "no answer"), ("reject", 30, "does it listen ('ss -ltnup' there)?")]
        {
            let at = format!("203.0.113.{}", base + number);
            net.add(&at);
            rules.push(format!("ip daddr {at} {kind} dport {port} {verdict}"));
            cases.push((check, kind.to_uppercase(), port, text, at));
        }
    }
    net.filter(&rules);
    for cases in cases.chunks(7) {
        thread::scope(|scope| {
            for (check, kind, blocked, text, at) in cases {
                let (net, key) = (&net, &key);
                scope.spawn(move || {
                    let said = net.ask(at, port, &["--key", key]);
                    said.is_wrong_in(&[check]);
                    let closed = format!("{kind} {blocked}: ");
                    let at = format!("\"{at}:{blocked}\"");
                    let but = ["", "well with --accounts"][usize::from(*check == "api")];
                    said.says(
                        check,
                        &[&at, &closed, text, but, "router: forward it to the server"],
                    );
                });
            }
        });
    }
}

#[test]
fn c159_an_address_where_nobody_is_is_told_apart_from_a_closed_port() {
    let net = Net::new("nobody");
    net.add(NOBODY);
    net.filter(&[format!("ip daddr {NOBODY} drop")]);
    let port = free_ports();
    let said = net.ask(NOBODY, port, &[]);
    said.is_wrong_in(&ALL);
    said.says("relay", &["no answer", "is this the server's address, and is it on?", "CGNAT"]);
    let said =
        net.ask(NOBODY, port, &["--from-inside", "--skip", "api,nat,websocket,websocket-relay"]);
    said.is_wrong_in(&["hairpin", "relay", "tcp", "udp"]);
    said.says("udp", &["hairpin NAT"]);
    let said = net.ask(SERVER, port, &["--skip", "udp"]);
    said.says("tcp", &["refused", "does it listen"]);
    let said = net.ask("2001:db8:1::1", port, &[]);
    said.is_wrong_in(&ALL);
    said.says("tcp", &["wrong", "not tried: this machine has no way there"]);
    said.says("api", &["no way there", "\"advice\":\"\""]);
    let said = net.ask(SERVER, port, &["--relay", "2001:db8:1::1", "--skip", "nat,api"]);
    said.says("relay", &["note", "not tried: this machine has no way there"]);
    let said = net.ask("no-such-name.invalid", port, &[]);
    said.is_wrong_in(&["dns"]);
    let server = net.serve(&[]);
    let said = net.ask(SERVER, server.port, &["--from-inside"]);
    said.says("hairpin", &["ok", "leads its public address back"]);
    let said = net.ask(SERVER, server.port, &["--from-inside", "--skip", "hairpin,signed,clock"]);
    assert_eq!(said.checks("note"), ["key", "proxy", "relay", "websocket-relay"], "{said:?}");
}

#[test]
fn c159_a_wrong_and_an_old_key_are_named() {
    let net = Net::new("keys");
    let mut server = net.serve(&[]);
    let old = server.key();
    let said = net.ask(SERVER, server.port, &["--key", OTHER_KEY]);
    said.is_wrong_in(&["key"]);
    said.says("key", &["key mismatch", "wrong or old", "hbb export", "Key mismatch"]);
    said.says("relay", &["note", "closes legs that show this key"]);
    let said = net.ask(SERVER, server.port, &["--id", "123456789"]);
    said.says("signed", &["note", "the server asks for its key"]);
    server.kill();
    let mut keygen = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let done = keygen.args(["keygen", "--force", "--data"]).arg(server.data()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    server.restart();
    let said = net.ask(SERVER, server.port, &["--key", &old]);
    said.is_wrong_in(&["key"]);
    said.says("key", &["key mismatch", "wrong or old"]);
    net.ask(SERVER, server.port, &["--key", &server.key()]).is_wrong_in(&[]);
    // What takes any key tells what it signs with.
    let server = net.serve(&["--key="]);
    let said = net.ask(SERVER, server.port, &["--key", &old]);
    said.is_wrong_in(&["key"]);
    said.says("key", &["signs with another", "Signature mismatch"]);
    net.ask(SERVER, server.port, &["--key", "a word"]).is_wrong_in(&["key"]);
    net.ask(SERVER, server.port, &["--key", &server.key()]).is_wrong_in(&[]);
    // A word is taken, and nothing is signed.
    let server = net.serve(&["--key", "a word"]);
    let said = net.ask(SERVER, server.port, &["--key", "a word"]);
    said.is_wrong_in(&[]);
    said.says("key", &["note", "offers nothing signed"]);
}

/// Whichever of two keys was shown from this address last.
#[test]
fn c159_a_key_that_is_being_replaced_is_named() {
    let net = Net::new("turn");
    let mut server = net.serve(&[]);
    let old = server.key();
    server.kill();
    let mut keygen = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let done = keygen.args(["keygen", "--rotate", "--data"]).arg(server.data()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    server.restart();
    let host = Host::inside(&net.name("c"), DEVICE);
    let at = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    for shown in [&old, &server.key(), &old] {
        let (ready, registered) = channel();
        let other = host.clone();
        let device = thread::spawn(move || device(&other, at, &ready));
        registered.recv_timeout(Duration::from_secs(9)).expect("the device registers");
        net.ask(SERVER, server.port, &["--key", shown, "--id", "123456789"]);
        device.join().unwrap();
        for key in [&old, &server.key(), &server.key(), &old] {
            let said = net.ask(SERVER, server.port, &["--key", key]);
            said.is_wrong_in(&[]);
            said.says("key", &["note", "is being replaced", "hbb export"]);
        }
    }
}

#[test]
fn c159_a_dead_relay_is_named() {
    let net = Net::new("relay");
    let dead = format!("{SERVER}:9");
    let server = net.serve(&["--relay-servers", &dead]);
    let key = server.key();
    // A device knows which relay is told.
    let at = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    let host = Host::inside(&net.name("c"), DEVICE);
    let (ready, registered) = channel();
    let device = thread::spawn(move || device(&host, at, &ready));
    registered.recv_timeout(Duration::from_secs(9)).expect("the device registers");
    let said = net.ask(SERVER, server.port, &["--key", &key, "--id", "123456789"]);
    said.says("signed", &["ok", "signed with it"]);
    said.says("relay", &["\"203.0.113.1:9\"", "refused"]);
    said.is_wrong_in(&["relay", "websocket-relay"]);
    device.join().unwrap();
    let said = net.ask(SERVER, server.port, &["--key", &key, "--relay", &dead]);
    said.says("relay", &["\"203.0.113.1:9\"", "refused"]);
    said.is_wrong_in(&["relay", "websocket-relay"]);
    let alive = format!("{SERVER}:{}", server.port + 1);
    net.ask(SERVER, server.port, &["--key", &key, "--relay", &alive]).is_wrong_in(&[]);
    let said = net.ask(SERVER, server.port, &["--key", &key, "--id", "987654321"]);
    said.is_wrong_in(&["signed"]);
    said.says("signed", &["no device has the id"]);
}

/// A device that answers whoever asks for it first, by the relay it is told.
fn device(host: &Host, server: SocketAddr, ready: &Sender<()>) {
    host.clone().enter();
    let mut stream = host.connect(0, server).unwrap();
    send(&mut stream, &say::register_pk("123456789", b"device", &[0x11; 32])).unwrap();
    drop(receive(&mut stream).unwrap());
    ready.send(()).unwrap();
    let hole = loop {
        let payload = receive(&mut stream).expect("it is told of somebody");
        if !payload.is_empty() && !matches!(say::read(&payload), say::Body::KeyExchange(_)) {
            break take!(&payload, PunchHole);
        }
    };
    let mut control = host.connect(0, server).unwrap();
    let sent = say::punch_sent("123456789", &hole.socket_addr, |sent| {
        sent.relay_server = hole.relay_server.clone();
    });
    send(&mut control, &sent).unwrap();
    // Until the server has it.
    let _ = receive(&mut control);
}

/// nginx beside the server; ended when dropped.
struct Nginx {
    child: Child,
    folder: PathBuf,
}

impl Nginx {
    /// `more` stands in each location.
    fn start(net: &Net, server: u16, more: &str) -> Self {
        let folder = std::env::temp_dir().join(net.name("nginx"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let [id, relay] = [("id", server + 2), ("relay", server + 3)].map(|(path, port)| {
            format!("location /ws/{path} {{ proxy_pass http://{SERVER}:{port}; {more} }}\n")
        });
        let text = format!(
            "user root;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n\
             http {{ access_log off;\nserver {{ listen 80;\n{id}{relay} }} }}\n"
        );
        fs::write(folder.join("nginx.conf"), text).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.name("s"), "nginx", "-g", "daemon off;"]);
        command.args(["-e", "stderr", "-p", ".", "-c", "nginx.conf"]).current_dir(&folder);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, folder };
        let host = Host::inside(&net.name("c"), CLIENT);
        let reached = move || {
            host.enter();
            let at = SocketAddr::new(SERVER.parse().unwrap(), 80);
            (0..100).any(|_| {
                thread::sleep(Duration::from_millis(50));
                host.connect_within(Duration::from_secs(1), 0, at).is_ok()
            })
        };
        assert!(thread::spawn(reached).join().unwrap(), "nginx of the package nginx-light");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn c159_a_proxy_that_loses_headers_is_named() {
    let net = Net::new("proxy");
    let server = net.serve(&["--trusted-proxies", SERVER]);
    let url = format!("ws://{SERVER}");
    let key = server.key();
    let ask = || net.ask(SERVER, server.port, &["--key", &key, "--ws", &url]);
    {
        let _nginx = Nginx::start(&net, server.port, "");
        let said = ask();
        said.is_wrong_in(&["proxy", "proxy-relay"]);
        said.says("proxy", &["/ws/id: ", "headers are lost", "Upgrade and Connection"]);
        said.says("proxy-relay", &["/ws/relay: ", "headers are lost"]);
    }
    {
        let headers = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
            proxy_set_header Connection upgrade; proxy_set_header X-Real-IP $remote_addr;";
        let _nginx = Nginx::start(&net, server.port, headers);
        let said = ask();
        said.is_wrong_in(&[]);
        said.says("proxy", &["ok", "a WebSocket opens"]);
        said.says("proxy-relay", &["ok", "bytes pass both ways"]);
        // nginx answers by itself for a path it does not know, with its time.
        let lost = [&url, "/nowhere"].concat();
        let said = net.ask(SERVER, server.port, &["--key", &key, "--ws", &lost]);
        said.is_wrong_in(&["proxy", "proxy-relay"]);
        said.says("proxy", &["nothing is there", "HTTP 404"]);
        said.says("clock", &["ok", "agree"]);
        let said = net.ask(SERVER, server.port, &["--key", &key, "--ws", "https://203.0.113.1:80"]);
        said.is_wrong_in(&[]);
        said.says("proxy", &["note", "TLS is not tried"]);
    }
    let _nginx = Nginx::start(&net, free_ports(), "");
    ask().says("proxy", &["does not reach the server", "HTTP 502"]);
}

#[test]
fn c159_a_proxy_whose_first_words_are_not_expected_is_named() {
    for (flags, wrong) in [
        (&["--proxy-protocol"][..], &[][..]),
        (&[], &["relay", "tcp", "websocket", "websocket-relay"]),
    ] {
        let server = Server::start(&[&["--single-port", "--public", "192.0.2.1"], flags].concat());
        let port = proxy_before(server.port).to_string();
        let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
        hbb.args(["doctor", "127.0.0.1", "--json", "--single-port", "--skip", "udp", "--port"]);
        let said = Said::of(&hbb.args([&port, "--key", &server.key()]).output().unwrap());
        said.is_wrong_in(wrong);
        wrong.iter().for_each(|check| said.says(check, &["'proxy-protocol-unexpected'"]));
        assert_eq!(server.log().contains("warn proxy-protocol-unexpected"), flags.is_empty());
    }
    let server = Server::start(&[]);
    let url = format!("ws://127.0.0.1:{}", proxy_before(server.port + 2));
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    hbb.args(["doctor", "127.0.0.1", "--json", "--port", &server.port.to_string(), "--ws", &url]);
    let said = Said::of(&hbb.output().unwrap());
    said.says("proxy", &["HTTP 400", "'proxy-protocol-unexpected'"]);
}

/// What a terminal shows of a doctor that asks where nobody listens.
fn at_terminal(kind: &str, no_colour: bool) -> String {
    let port = free_ports().to_string();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).and_then(|()| unlockpt(&screen)).unwrap();
    let terminal = || Stdio::from(ioctl_tiocgptpeer(&screen, flags).unwrap());
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    hbb.args(["doctor", "127.0.0.1", "--timeout", "1", "--port", &port]).env_remove("NO_COLOR");
    hbb.env("TERM", kind);
    if no_colour {
        hbb.env("NO_COLOR", "1");
    }
    let status = hbb.stdin(Stdio::null()).stdout(terminal()).stderr(terminal()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    // It holds the terminal's other side, without which reading ends, in an error.
    drop(hbb);
    let mut shown = Vec::new();
    let _ = File::from(screen).read_to_end(&mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn c159_a_terminal_shows_colours_unless_they_are_not_wanted() {
    let shown = at_terminal("xterm", false);
    assert!(shown.starts_with("trying 127.0.0.1, 4 s at most"), "{shown}");
    assert!(shown.contains("\x1b[31mWRONG  \x1b[0mtcp 127.0.0.1:"), "{shown}");
    assert!(shown.contains("\n         -> server: does it listen"), "{shown}");
    for shown in [at_terminal("xterm", true), at_terminal("dumb", false)] {
        assert!(shown.contains("WRONG  udp 127.0.0.1:") && !shown.contains('\x1b'), "{shown}");
    }
}

/// Asks where this test runs, of UDP alone.
fn ask_here(port: u16) -> Said {
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    hbb.args(["doctor", "127.0.0.1", "--timeout", "1", "--json", "--port", &port.to_string()]);
    hbb.args(["--skip", "tcp,nat,relay,websocket,websocket-relay,api"]);
    Said::of(&hbb.output().unwrap())
}

#[test]
fn c159_a_server_that_knows_no_test_by_datagram_is_asked_as_upstream_s_answers() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut buffer = [0; 1500];
        socket.set_read_timeout(Some(Duration::from_secs(9))).unwrap();
        loop {
            let (length, from) = again(|| socket.recv_from(&mut buffer)).expect("a registration");
            if let say::Body::RegisterPeer(peer) = say::read(&buffer[..length]) {
                assert_eq!(peer.id, "hbb-doctor");
                socket.send_to(&[0x3a, 2, 0x10, 1], from).unwrap();
                return;
            }
        }
    });
    let said = ask_here(port);
    said.is_wrong_in(&[]);
    said.says("udp", &["ok", "answers"]);
    server.join().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        let (_, from) = again(|| socket.recv_from(&mut buffer)).unwrap();
        socket.send_to(b"\xff\xff", from).unwrap();
    });
    ask_here(port).says("udp", &["wrong", "something else answers"]);
}

#[test]
fn c159_a_server_that_hangs_is_thought_of() {
    let net = Net::new("hangs");
    let server = net.serve(&[]);
    let stop = Command::new("kill").args(["-STOP", &server.pid().to_string()]).status();
    assert!(stop.unwrap().success());
    for more in [["--skip", "udp"], ["--id", "123456789"]] {
        let words = ["nobody answers", "server: does 'hbb ctl status' answer there?"];
        net.ask(SERVER, server.port, &more).says("tcp", &words);
    }
}

#[test]
fn c159_whoever_answers_anything_ends_in_time_and_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                while std::io::Write::write_all(&mut stream, &[1]).is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    hbb.args(["doctor", "127.0.0.1", "--timeout", "1", "--json", "--single-port", "--port"]);
    let begin = Instant::now();
    let said = Said::of(&hbb.arg(port.to_string()).args(["--skip", "udp"]).output().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(8), "it took {:?}", begin.elapsed());
    said.is_wrong_in(&["relay", "tcp", "websocket", "websocket-relay"]);
}

#[test]
fn c159_flags_are_judged_before_anything_is_sent() {
    for (words, said) in [
        (vec!["doctor"], "Required positional arguments not provided"),
        (vec!["doctor", "a b"], "HOST 'a b': must be a name"),
        (vec!["doctor", "h:21116"], "its port goes into --port"),
        (vec!["doctor", "h", "--port", "2"], "must be 3 to 65532"),
        (vec!["doctor", "h", "--timeout", "0"], "must be 1 to 60"),
        (vec!["doctor", "h", "--relay", "a b"], "HOST[:PORT]"),
        (vec!["doctor", "h", "--skip", "api,tpc"], "--skip 'tpc': must be of dns,tcp,nat,"),
        (vec!["doctor", "h", "--ws", "ftp://h"], "http://"),
        (vec!["doctor", "h", "--api", "h"], "http://"),
        (vec!["doctor", "h", "--key", OTHER_SECRET], "this is the secret key"),
    ] {
        let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
        let output = hbb.args(&words).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said) && output.stdout.is_empty(), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}
