//! A rank's connection to the service.

use std::{
    io::BufReader,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::http::{self, Message};

/// How long a rank tries an address, and how long it waits for a reply in addition to the time of a
/// request.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the service, which stays open between requests.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The name of the service in the requests.
    host: String,
    /// The name of this rank in the requests.
    agent: String,
}

impl Client {
    /// Connects to the first of the addresses that accepts a connection. `time` is the time that
    /// the service needs for a request.
    ///
    /// # Errors
    /// If none does, the error of the last one.
    pub fn connect(addresses: &[SocketAddr], rank: i32, time: Duration) -> anyhow::Result<Self> {
        let mut attempt = Err(anyhow::anyhow!("the service has no address"));
        for address in addresses {
            attempt = TcpStream::connect_timeout(address, PATIENCE)
                .with_context(|| format!("cannot reach the service at {address}"));
            if attempt.is_ok() {
                break;
            }
        }
        let stream = attempt?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE + time))?;
        Ok(Client {
            host: stream.peer_addr()?.to_string(),
            agent: format!("rank/{rank}"),
            stream: BufReader::new(stream),
        })
    }

    /// Begins a session and returns its token.
    ///
    /// # Errors
    /// If the service does not reply, or replies wrongly.
    pub fn log_in(&mut self) -> anyhow::Result<String> {
        let response = self.request("POST /session", &[], Some(""))?;
        match status(&response) {
            "200" => Ok(response.body),
            _ => bail!("the service refuses the session: {}", response.start),
        }
    }

    /// Requests the square of a number. Returns None if the service refuses because it has too many
    /// requests.
    ///
    /// # Errors
    /// If the service does not reply, or replies wrongly.
    pub fn square(&mut self, number: u32, token: &str) -> anyhow::Result<Option<u64>> {
        let bearer = format!("Bearer {token}");
        let request = format!("GET /square/{number}");
        let response = self.request(&request, &[("Authorization", &bearer)], None)?;
        match status(&response) {
            "200" => Ok(Some(response.body.parse()?)),
            "503" => Ok(None),
            _ => bail!("the service does not reply: {}", response.start),
        }
    }

    fn request(
        &mut self,
        request: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> anyhow::Result<Message> {
        let start = format!("{request} HTTP/1.1");
        let mut all = vec![("Host", &*self.host), ("User-Agent", &*self.agent)];
        all.extend(headers);
        let response = http::write(self.stream.get_mut(), &start, &all, body)
            .and_then(|()| Message::read(&mut self.stream));
        response
            .with_context(|| format!("no reply to `{request}`"))?
            .with_context(|| format!("the service has closed the connection on `{request}`"))
    }
}

/// The number in `HTTP/1.1 200 OK`.
fn status(response: &Message) -> &str {
    response.start.split(' ').nth(1).unwrap_or_default()
}
