//! A server and those who try it, in namespaces, and what a doctor says there.

use std::fs;
use std::io::{Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::server::Server;

/// Where the server is, besides [`CLOSED`] of ports in turn.
pub(crate) const SERVER: &str = "203.0.113.1";
pub(crate) const SERVER_V6: &str = "2001:db8::1";
/// Where doctors are, and a device.
pub(crate) const CLIENT: &str = "203.0.113.200";
pub(crate) const DEVICE: &str = "203.0.113.201";
/// Nobody is there, and whoever asks for it hears nothing.
pub(crate) const NOBODY: &str = "203.0.113.99";
/// The server's namespace and the clients', on one Ethernet; removed when dropped.
pub(crate) struct Net(String);

impl Net {
    pub(crate) fn new(name: &str) -> Self {
        let net = Self(format!("hbb-doctor-{name}-{}", std::process::id()));
        let (server, client) = (net.name("s"), net.name("c"));
        for part in [&server, &client] {
            ip(&format!("netns add {part}"));
            ip(&format!("netns exec {part} sysctl -qw net.ipv6.conf.default.accept_dad=0"));
            ip(&format!("-n {part} link set lo up"));
        }
        ip(&format!("-n {client} link add e0 type veth peer name e0 netns {server}"));
        for (part, v4, v6) in [(&server, SERVER, SERVER_V6), (&client, CLIENT, "2001:db8::2")] {
            ip(&format!("-n {part} addr add {v4}/24 dev e0"));
            ip(&format!("-n {part} addr add {v6}/64 dev e0"));
            ip(&format!("-n {part} link set e0 up"));
        }
        ip(&format!("-n {client} addr add {DEVICE}/24 dev e0"));
        net
    }

    pub(crate) fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.0)
    }

    /// Another address of the server's.
    pub(crate) fn add(&self, address: &str) {
        ip(&format!("-n {} addr add {address}/24 dev e0", self.name("s")));
    }

    /// Rules of the server's firewall for what comes in.
    pub(crate) fn filter(&self, rules: &[String]) {
        let rules: Vec<String> =
            rules.iter().map(|rule| format!("add rule inet f in {rule}\n")).collect();
        let chain =
            "add table inet f\nadd chain inet f in { type filter hook input priority 0; }\n";
        let text = [chain, &rules.concat()].concat();
        let path = std::env::temp_dir().join(self.name("nft"));
        fs::write(&path, text).unwrap();
        let mut nft = Command::new("ip");
        let done = nft.args(["netns", "exec", &self.name("s"), "nft", "-f"]).arg(&path).status();
        assert!(done.unwrap().success(), "nft of the package nftables");
        fs::remove_file(&path).unwrap();
    }

    pub(crate) fn serve(&self, flags: &[&str]) -> Server {
        Server::start_behind(&["ip", "netns", "exec", &self.name("s")], flags)
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name("c"), program]).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// What the doctor says of a server at `host`, port and all.
    pub(crate) fn ask(&self, host: &str, port: u16, more: &[&str]) -> Said {
        let port = port.to_string();
        // A first packet that got lost is sent again after a second.
        let words = ["doctor", host, "--port", &port, "--timeout", "2", "--json"];
        let begin = Instant::now();
        let output = self.command(env!("CARGO_BIN_EXE_hbb"), &[&words, more].concat()).output();
        assert!(begin.elapsed() < Duration::from_secs(14), "it took {:?}", begin.elapsed());
        Said::of(&output.unwrap())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for part in ["s", "c"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(part)]).status();
        }
    }
}

/// The port of a proxy before `port` of this machine, which says by the PROXY protocol whose each
/// connection is.
pub(crate) fn proxy_before(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().map(Result::unwrap) {
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            server.write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n").unwrap();
            let pass = |mut from: TcpStream, mut to: TcpStream| {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            };
            let (client_too, server_too) = (client.try_clone(), server.try_clone());
            thread::spawn(move || pass(client_too.unwrap(), server_too.unwrap()));
            thread::spawn(move || {
                let _ = copy(&mut server, &mut client);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    at
}

pub(crate) fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip of the package iproute2").success(), "ip {words}");
}

/// Its findings: a line each.
#[derive(Debug)]
pub(crate) struct Said {
    lines: Vec<String>,
    code: i32,
}

impl Said {
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(text.starts_with("{\"host\":\"") && text.ends_with("\n]}\n"), "{output:?}");
        let lines = text.lines().filter(|line| line.contains("\"check\":")).map(str::to_owned);
        Self { lines: lines.collect(), code: output.status.code().unwrap() }
    }

    /// The checks that are in this state, each once.
    pub(crate) fn checks(&self, state: &str) -> Vec<&str> {
        let state = format!("\"state\":\"{state}\"");
        let lines = self.lines.iter().filter(|line| line.contains(&state));
        let mut checks: Vec<_> = lines.map(|line| line.split('"').nth(3).unwrap()).collect();
        checks.sort_unstable();
        checks.dedup();
        checks
    }

    /// The line of a check, which has all of these in it.
    #[track_caller]
    pub(crate) fn says(&self, check: &str, parts: &[&str]) {
        let of_check = format!("\"check\":\"{check}\"");
        let line = self
            .lines
            .iter()
            .find(|line| line.contains(&of_check) && parts.iter().all(|part| line.contains(part)));
        assert!(line.is_some(), "{check} does not say {parts:?}: {self:#?}");
    }

    /// Nothing is wrong but these, and the exit code says the same.
    #[track_caller]
    pub(crate) fn is_wrong_in(&self, checks: &[&str]) {
        assert_eq!(self.checks("wrong"), checks, "{self:#?}");
        assert_eq!(self.code, i32::from(!checks.is_empty()), "{self:#?}");
    }
}
