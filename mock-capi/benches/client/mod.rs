//! A mock-capi process to measure, and a minimal client, whose own work does not distort
//! the measurement.

#![allow(dead_code, reason = "each program uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A `mock-capi` process.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    /// The command, which serves through mock-capi's own server.
    pub(crate) fn front(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mock-capi"));
        command.args(["--listen", "127.0.0.1:0", "--token-lifetime", "1day"]);
        command.args(flags);
        Self::start(command)
    }

    /// A program that prints its URL on its first line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("mock-capi starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("stdout is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("mock-capi prints its address");
        let (_, address) = line.trim().split_once("http://").expect("a URL");
        Self {
            child,
            address: address.to_owned(),
        }
    }

    /// The peak memory of the process.
    pub(crate) fn peak_megabytes(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// The current memory of the process.
    pub(crate) fn megabytes(&self) -> f64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, kind: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(kind))
            .expect("the kernel reports the memory");
        let kilobytes: f64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kilobytes / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may already have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A minimal client with a persistent connection.
pub(crate) struct Api {
    address: String,
    stream: BufReader<TcpStream>,
    token: String,
}

impl Api {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("mock-capi listens");
        stream.set_nodelay(true).expect("a socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(600)))
            .expect("a socket");
        Self {
            address: address.to_owned(),
            stream: BufReader::new(stream),
            token: String::new(),
        }
    }

    /// A connection of the administrator.
    pub(crate) fn log_in(address: &str) -> Self {
        Self::log_in_as(address, "admin")
    }

    /// A connection of a user, whose password is their name.
    pub(crate) fn log_in_as(address: &str, user: &str) -> Self {
        let mut api = Self::connect(address);
        let form = format!("grant_type=password&username={user}&password={user}&client_id=cf");
        let kind = "application/x-www-form-urlencoded";
        let (_, body) = api.send("POST", "/oauth/token", kind, &form);
        let answer: Value = serde_json::from_slice(&body).expect("a token");
        api.token = answer["access_token"].as_str().expect("a token").to_owned();
        api
    }

    /// Another connection of the same user.
    pub(crate) fn again(&self) -> Self {
        let mut other = Self::connect(&self.address);
        other.token.clone_from(&self.token);
        other
    }

    /// Sends the head of an upload, and returns the stream for the body.
    pub(crate) fn begin_upload(&mut self, package: &str, length: u64) -> &mut TcpStream {
        let head = format!(
            "POST /v3/packages/{package}/upload HTTP/1.1\r\nHost: {}\r\n\
             Authorization: bearer {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: {length}\r\n\r\n",
            self.address, self.token
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).expect("a connection");
        stream
    }

    pub(crate) fn json(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (head, answer) = self.send(method, path, "application/json", &body.to_string());
        let text = String::from_utf8_lossy(&answer);
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {text}");
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// Sends a request to an app, by its host.
    pub(crate) fn ask(&mut self, host: &str, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("a connection");
    }

    /// Gets the response of an app, by its host: its head and its body.
    pub(crate) fn get_from(&mut self, host: &str, path: &str) -> (String, Vec<u8>) {
        self.ask(host, path);
        self.read_answer()
    }

    /// Sends a request and reads the response: its head and its body.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> (String, Vec<u8>) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: bearer {}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("a connection");
        self.read_answer()
    }

    /// Reads a response: its head and its body.
    pub(crate) fn read_answer(&mut self) -> (String, Vec<u8>) {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let before = head.len();
            self.stream.read_line(&mut head).expect("an answer");
            let line = head[before..].trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        (head, body)
    }
}
