//! The part of HTTP/1.1 that the program needs: messages with a few headers and a short body or
//! none.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// The longest message that is read, in bytes.
const LONGEST: u64 = 4096;

/// A request or a response.
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    headers: Vec<(String, String)>,
    /// The body; empty if there is none.
    pub body: String,
}

impl Message {
    /// Reads the next message; None if the connection was closed instead.
    ///
    /// # Errors
    /// If it is no message, is too long, or ends too early.
    pub fn read(stream: &mut impl BufRead) -> Result<Option<Self>> {
        let mut stream = stream.take(LONGEST);
        let Some(start) = line(&mut stream)? else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            let header = line(&mut stream)?.ok_or(ErrorKind::UnexpectedEof)?;
            if header.is_empty() {
                break;
            }
            let header = header.split_once(':').ok_or(ErrorKind::InvalidData)?;
            headers.push((header.0.to_owned(), header.1.trim().to_owned()));
        }
        let mut message = Message {
            start,
            headers,
            body: String::new(),
        };
        let length = message.header("Content-Length").unwrap_or("0");
        let length: u64 = length.parse().map_err(|_| ErrorKind::InvalidData)?;
        let read = stream.take(length).read_to_string(&mut message.body)?;
        if (read as u64) < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(message))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|header| header.0.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// Writes a message. Without a body it has no length of the body either.
///
/// # Errors
/// If the connection fails.
pub fn write(
    mut stream: impl Write,
    start: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<()> {
    let mut message = format!("{start}\r\n");
    for (name, value) in headers {
        message += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        message += &format!("Content-Length: {}\r\n", body.len());
    }
    message += "\r\n";
    message += body.unwrap_or_default();
    stream.write_all(message.as_bytes())
}

/// The next line without its end; None at the end of the connection.
fn line(stream: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    // Cut by the end of the connection, or too long.
    let line = line
        .strip_suffix('\n')
        .ok_or(Error::from(ErrorKind::UnexpectedEof))?;
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let headers = [("Host", "here:80"), ("User-Agent", "rank/3")];
        write(&mut bytes, "GET / HTTP/1.1", &headers, None).unwrap();
        write(&mut bytes, "HTTP/1.1 200 OK", &[], Some("49")).unwrap();
        let mut stream = bytes.as_slice();
        let request = Message::read(&mut stream).unwrap().unwrap();
        assert_eq!((&*request.start, &*request.body), ("GET / HTTP/1.1", ""));
        assert_eq!(request.header("host"), Some("here:80"));
        assert_eq!(request.header("Content-Length"), None);
        let response = Message::read(&mut stream).unwrap().unwrap();
        assert_eq!(
            (&*response.start, &*response.body),
            ("HTTP/1.1 200 OK", "49")
        );
        assert!(Message::read(&mut stream).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(5000));
        for text in [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nno header\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n49",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            &long,
        ] {
            assert!(Message::read(&mut text.as_bytes()).is_err(), "{text}");
        }
    }
}
