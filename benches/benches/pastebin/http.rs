//! One request, to see what is answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Outcome;

/// Longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// The status and the headers, but for the date.
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
    /// Of all of it in bytes.
    pub(crate) length: u64,
}

impl Answer {
    /// Where another one begins to differ.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let lines = |answer: &Self| -> Vec<String> {
            answer.head.iter().cloned().chain(answer.body.lines().map(str::to_owned)).collect()
        };
        let (these, those) = (lines(self), lines(other));
        let differs = these.iter().zip(&those).find(|(this, that)| this != that);
        differs.map_or("one answer is longer".into(), |(this, that)| format!("{this:?} is not {that:?}"))
    }
}

/// The answer to a GET, which must be a page.
pub(crate) fn get(address: &str, path: &str) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let (mut head, mut length, mut size) = (Vec::new(), 0, 0);
    loop {
        let mut line = String::new();
        length += stream.read_line(&mut line)? as u64;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            size = value.parse()?;
        }
        if !line.starts_with("date: ") {
            head.push(line);
        }
    }
    head[1..].sort();
    let mut body = vec![0; size];
    stream.read_exact(&mut body)?;
    if !head[0].contains(" 200 ") {
        return Err(format!("{path}: {}", head[0]).into());
    }
    Ok(Answer { head, body: String::from_utf8(body)?, length: length + size as u64 })
}
