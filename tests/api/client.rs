//! A client's calls, by each of the three doors.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use hbb_core::base::json::Value;

use crate::model::seal::Seal;
use crate::model::server::Server;
use crate::model::wire;
use crate::say::proto::{HeaderEntry, HttpProxyRequest};
use crate::say::{self, Body, take};

/// How a call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// Over the sealed channel of P.
    Sealed,
    /// By HTTP to this port above P, or below.
    Http(i32),
    /// By HTTP to this port, at another address of the server than where a proxy would be.
    #[allow(dead_code, reason = "each test binary uses a part")]
    Afar(IpAddr, u16),
}

/// What a call was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Told {
    /// A text of the object that is the body.
    pub(crate) fn text(&self, name: &str) -> String {
        let body = Value::parse(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        let text = body.text_of(name).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        text.into_owned()
    }
}

/// One call, on a connection of its own as clients make them.
pub(crate) fn call(
    (server, door): (&Server, Door),
    (method, path): (&str, &str),
    token: Option<&str>,
    body: &str,
) -> Told {
    match door {
        Door::Sealed => sealed(server, (method, path), token, body),
        Door::Http(at) => {
            let port = u16::try_from(i32::from(server.port) + at).unwrap();
            http((LOCALHOST, port).into(), (method, path), token, body)
        }
        Door::Afar(ip, port) => http((ip, port).into(), (method, path), token, body),
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn sealed(server: &Server, what: (&str, &str), token: Option<&str>, body: &str) -> Told {
    let mut stream = connect((LOCALHOST, server.port).into());
    let mut seal = Seal::agree(&mut stream, &server.key());
    let header = |name: &str, value: String| HeaderEntry { name: name.into(), value };
    let mut headers = vec![header("Content-Type", "application/json".into())];
    headers.extend(token.map(|token| header("Authorization", format!("Bearer {token}"))));
    let request =
        HttpProxyRequest { method: what.0.into(), path: what.1.into(), headers, body: body.into() };
    let payload = say::payload(Body::HttpProxyRequest(request));
    wire::send(&mut stream, &seal.close(&payload)).unwrap();
    let answer = seal.open(wire::receive(&mut stream).expect("an answer"));
    let answer = take!(&answer, HttpProxyResponse);
    assert_eq!(answer.error, "");
    assert!(wire::receive(&mut stream).is_err(), "it is closed");
    let body = String::from_utf8(answer.body).unwrap();
    Told { status: answer.status.try_into().unwrap(), body }
}

fn http(to: SocketAddr, (method, path): (&str, &str), token: Option<&str>, body: &str) -> Told {
    let shown = token.map_or_else(String::new, |it| format!("Authorization: Bearer {it}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nAccept: */*\r\n\
         Content-Type: application/json\r\n{shown}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let said = exchange(to, request.as_bytes());
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {said:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.contains("\r\nAccess-Control-Allow-Origin: *"), "{head}");
    let length = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap();
    if method != "HEAD" {
        assert_eq!(length.parse(), Ok(body.len()), "{head}");
    }
    Told { status, body: body.into() }
}

/// What these bytes get, up to the end.
#[allow(dead_code, reason = "of this file, not every test has a use for all")]
pub(crate) fn raw(port: u16, bytes: &[u8]) -> String {
    exchange((LOCALHOST, port).into(), bytes)
}

fn exchange(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(to);
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    // What is packed is no text, but its head is.
    String::from_utf8_lossy(&said).into_owned()
}

/// `hbb ctl` with a line on stdin: what it said, and whether it was pleased.
pub(crate) fn ctl(server: &Server, words: &[&str], line: &str) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["ctl", "--data"]).arg(server.data()).args(words);
    let pipes = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(pipes.0).stdout(pipes.1).stderr(pipes.2).spawn().unwrap();
    // Who asks for none may be gone already.
    let _ = child.stdin.take().unwrap().write_all(line.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if ended.status.success() { Ok(text(ended.stdout)) } else { Err(text(ended.stderr)) }
}

/// What a client sends to log in.
pub(crate) fn login(user: &str, password: &str) -> String {
    format!(
        r#"{{"username":"{user}","password":"{password}","id":"123456789","uuid":"MTIz",
        "autoLogin":true,"type":"account",
        "deviceInfo":{{"os":"linux","type":"client","name":"box"}}}}"#
    )
}
