//! A rank's connection to the service.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use ureq::{Agent, http::StatusCode};

/// How long a rank tries an address, and how long it waits for a reply in addition to the time of a
/// request.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the service, which stays open between requests.
pub struct Client {
    agent: Agent,
    service: SocketAddr,
}

impl Client {
    /// A client of the first of the addresses that accepts a connection. `time` is the time that
    /// the service needs for a request.
    ///
    /// # Errors
    /// If none does.
    pub fn connect(addresses: &[SocketAddr], time: Duration) -> anyhow::Result<Self> {
        let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
        let service = addresses.iter().find(accepts).copied();
        let service =
            service.with_context(|| format!("cannot reach the service at any of {addresses:?}"))?;
        let agent = Agent::config_builder()
            .proxy(None) // for the ranks of one job, whatever the environment says
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE + time))
            .build()
            .into();
        Ok(Client { agent, service })
    }

    /// Begins a session and returns its token.
    ///
    /// # Errors
    /// If the service does not reply, or refuses.
    pub fn log_in(&self) -> anyhow::Result<String> {
        let mut response = self.agent.post(self.url("session")).send_empty()?;
        match response.status() {
            StatusCode::OK => Ok(response.body_mut().read_to_string()?),
            status => bail!("the service refuses the session: {status}"),
        }
    }

    /// Requests the square of a number. Returns None if the service refuses because it has too many
    /// requests.
    ///
    /// # Errors
    /// If the service does not reply, or replies wrongly.
    pub fn square(&self, number: u32, token: &str) -> anyhow::Result<Option<u64>> {
        let request = self.agent.get(self.url(&format!("square/{number}")));
        let mut response = request
            .header("Authorization", format!("Bearer {token}"))
            .call()?;
        let body = response.body_mut().read_to_string()?;
        match response.status() {
            StatusCode::OK => Ok(Some(body.parse()?)),
            StatusCode::SERVICE_UNAVAILABLE => Ok(None),
            status => bail!("the service does not reply: {status}"),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.service)
    }
}
