//! A slow service that works on a few requests at a time and refuses the others.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use mpisync::batch::{Meter, Summary};
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use tiny_http::{Method, Request, Response, Server};

/// The service. It ends when this is dropped.
pub struct Service {
    server: Arc<Server>,
    is_remote: bool,
    desk: Arc<Desk>,
}

/// The properties of the service.
pub struct Plan {
    /// The number of requests that it works on at a time.
    pub limit: u32,
    /// The duration of each request.
    pub time: Duration,
    /// The number of answers that the ranks want.
    pub requests: u32,
    /// Whether some of the ranks may be on other hosts.
    pub is_remote: bool,
}

/// The statistics of the service.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// The number of sessions that were begun.
    pub sessions: u32,
    /// The number of answered requests.
    pub answered: u32,
    /// The number of refused requests.
    pub refused: u32,
    /// The most requests at the same time, including a refused one.
    pub most: u32,
}

/// What the threads that answer requests share.
struct Desk {
    limit: u32,
    time: Duration,
    requests: u32,
    token: String,
    state: Mutex<State>,
}

struct State {
    seen: Seen,
    /// The number of requests in progress.
    at_once: u32,
    /// None at the end.
    meter: Option<Meter>,
}

impl Service {
    /// Starts it, at a port that the system chooses. On a terminal it shows its progress.
    ///
    /// # Errors
    /// If the system has no port.
    pub fn start(plan: &Plan) -> anyhow::Result<Self> {
        let address = if plan.is_remote {
            Ipv4Addr::UNSPECIFIED // all that this host has
        } else {
            Ipv4Addr::LOCALHOST
        };
        let server = Server::http((address, 0)).map_err(|error| anyhow!(error));
        let server = Arc::new(server.context("cannot start the service")?);
        let seen = Seen::default();
        let desk = Arc::new(Desk {
            limit: plan.limit,
            time: plan.time,
            requests: plan.requests,
            token: format!("{:016x}", RandomState::new().hash_one("session")),
            state: Mutex::new(State {
                seen,
                at_once: 0,
                meter: Some(Meter::new("answers", &so_far(&seen, 0, plan.requests))),
            }),
        });
        let service = Service {
            server: server.clone(),
            is_remote: plan.is_remote,
            desk: desk.clone(),
        };
        thread::spawn(move || {
            for request in server.incoming_requests() {
                let desk = desk.clone();
                thread::spawn(move || desk.serve(request));
            }
        });
        Ok(service)
    }

    /// The addresses at which the ranks can try to reach it.
    ///
    /// # Errors
    /// If some ranks may be on other hosts, and this host has no address that they could reach.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let own = self.server.server_addr().to_ip();
        let own = own.context("the service has no address")?;
        if !self.is_remote {
            return Ok(vec![own]);
        }
        let up = InterfaceFlags::IFF_UP;
        let interfaces = getifaddrs().context("cannot list the network interfaces")?;
        let addresses: Vec<SocketAddr> = interfaces
            .filter(|interface| interface.flags & (up | InterfaceFlags::IFF_LOOPBACK) == up)
            .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
            .map(|address| (IpAddr::V4(address), own.port()).into())
            .collect();
        ensure!(
            !addresses.is_empty(),
            "this host has no IPv4 address for others to reach the service"
        );
        Ok(addresses)
    }

    /// The statistics so far.
    pub fn seen(&self) -> Seen {
        self.desk.state().seen
    }
}

/// Removes the bar.
impl Drop for Service {
    fn drop(&mut self) {
        self.desk.state().meter = None;
        self.server.unblock();
    }
}

impl Desk {
    fn serve(&self, request: Request) {
        let (status, body) = self.answer(&request);
        // An error is one for the rank at the other end, too.
        let _ = request.respond(Response::from_string(body).with_status_code(status));
    }

    /// The status and the body of the answer.
    fn answer(&self, request: &Request) -> (u16, String) {
        let number = request.url().strip_prefix("/square/");
        let number = number.and_then(|number| number.parse::<u32>().ok());
        match (request.method(), request.url(), number) {
            (Method::Post, "/session", _) => {
                self.state().seen.sessions += 1;
                (200, self.token.clone())
            }
            (Method::Get, _, Some(_)) if !self.is_authorized(request) => (403, String::new()),
            (Method::Get, _, Some(number)) => self.square(number),
            _ => (404, String::new()),
        }
    }

    fn is_authorized(&self, request: &Request) -> bool {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = request.headers().iter();
        headers.any(|header| header.field.equiv("Authorization") && header.value == *bearer)
    }

    /// The answer to a slow request, if there is capacity for it.
    fn square(&self, number: u32) -> (u16, String) {
        if !self.begin() {
            return (503, String::new());
        }
        thread::sleep(self.time);
        // Before the answer: a rank that has the answer lets the next one send a request.
        self.end();
        (200, u64::from(number).pow(2).to_string())
    }

    /// A request arrives. Returns whether there is capacity for it.
    fn begin(&self) -> bool {
        let mut state = self.state();
        state.seen.most = state.seen.most.max(state.at_once + 1);
        let has_room = state.at_once < self.limit;
        if has_room {
            state.at_once += 1;
        } else {
            state.seen.refused += 1;
        }
        state.show(self.requests);
        has_room
    }

    /// A request is complete.
    fn end(&self) {
        let mut state = self.state();
        state.at_once -= 1;
        state.seen.answered += 1;
        state.show(self.requests);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, requests: u32) {
        if let Some(meter) = &mut self.meter {
            meter.show(&so_far(&self.seen, self.at_once, requests));
        }
    }
}

/// What the bar shows.
fn so_far(seen: &Seen, at_once: u32, requests: u32) -> Summary {
    Summary {
        open: requests.saturating_sub(seen.answered + at_once).into(),
        running: at_once.into(),
        done: seen.answered.into(),
        ..Summary::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;

    const TIME: Duration = Duration::from_millis(200);

    fn service(is_remote: bool) -> Service {
        let plan = Plan {
            limit: 2,
            time: TIME,
            requests: 3,
            is_remote,
        };
        Service::start(&plan).unwrap()
    }

    #[test]
    fn one_more_than_its_limit_is_refused() {
        let service = service(false);
        let addresses = service.addresses().unwrap();
        let connect = || Client::connect(&addresses, TIME).unwrap();
        let token = &connect().log_in().unwrap();
        let answers = thread::scope(|scope| {
            let ask = |()| scope.spawn(move || connect().square(7, token).unwrap());
            [(); 3].map(ask).map(|thread| thread.join().unwrap())
        });
        let refused = answers.iter().filter(|answer| answer.is_none()).count();
        assert!(answers.iter().flatten().all(|&square| square == 49));
        let seen = service.seen();
        assert_eq!((refused, seen.refused, seen.answered), (1, 1, 2));
        assert_eq!((seen.most, seen.sessions), (3, 1));
        assert_eq!(
            connect().square(u32::MAX, token).unwrap(),
            Some(18446744065119617025)
        );
    }

    #[test]
    fn who_has_not_logged_in_is_not_served() {
        let service = service(false);
        let addresses = service.addresses().unwrap();
        let client = Client::connect(&addresses, TIME).unwrap();
        let error = client.square(7, "made up").unwrap_err();
        assert!(error.to_string().ends_with("403 Forbidden"), "{error}");
        assert_eq!(service.seen().answered, 0);
    }

    #[test]
    fn the_addresses_for_other_hosts_are_not_those_of_this_one_alone() {
        let service = service(true);
        // A machine without a network has none.
        for address in service.addresses().unwrap_or_default() {
            assert!(!address.ip().is_loopback());
            Client::connect(&[address], TIME).unwrap();
        }
    }
}
