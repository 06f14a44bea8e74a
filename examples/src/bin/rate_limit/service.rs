//! A slow service that works on a few requests at a time and refuses the others.

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use mpisync_examples::progress;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use crate::http::{self, Message};

/// The service. Its threads end with the process.
pub struct Service {
    port: u16,
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
    /// The number of ranks that use it.
    pub ranks: i32,
    /// Whether some of them may be on other hosts.
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

/// The shared state of all connections.
struct Desk {
    limit: u32,
    time: Duration,
    token: String,
    state: Mutex<State>,
}

struct State {
    seen: Seen,
    /// The number of requests in progress.
    at_once: u32,
    marks: Vec<Mark>,
    bar: ProgressBar,
}

/// The state of a rank's last request.
#[derive(Clone, Copy)]
enum Mark {
    Answered,
    IsServed,
    Refused,
}

impl Service {
    /// Starts it, at a port that the system chooses. On a terminal it shows which ranks are served.
    ///
    /// # Errors
    /// If the system has no port.
    pub fn start(plan: &Plan) -> anyhow::Result<Self> {
        let address = if plan.is_remote {
            Ipv4Addr::UNSPECIFIED // all that this host has
        } else {
            Ipv4Addr::LOCALHOST
        };
        let listener = TcpListener::bind((address, 0)).context("cannot start the service")?;
        let template = "{msg}  {wide_bar} {pos}/{len} answers, {eta} left";
        let state = State {
            seen: Seen::default(),
            at_once: 0,
            marks: vec![Mark::Answered; plan.ranks.unsigned_abs() as usize],
            bar: progress::bar(plan.requests.into(), template),
        };
        let desk = Arc::new(Desk {
            limit: plan.limit,
            time: plan.time,
            token: format!("{:016x}", RandomState::new().hash_one("session")),
            state: Mutex::new(state),
        });
        let service = Service {
            port: listener.local_addr()?.port(),
            is_remote: plan.is_remote,
            desk: desk.clone(),
        };
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let desk = desk.clone();
                // An error closes the connection, which is an error for the rank at its other end.
                thread::spawn(move || desk.serve(&connection));
            }
        });
        Ok(service)
    }

    /// The addresses at which the ranks can try to reach it.
    ///
    /// # Errors
    /// If some ranks may be on other hosts, and this host has no address that they could reach.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        if !self.is_remote {
            return Ok(vec![(Ipv4Addr::LOCALHOST, self.port).into()]);
        }
        let up = InterfaceFlags::IFF_UP;
        let interfaces = getifaddrs().context("cannot list the network interfaces")?;
        let addresses: Vec<SocketAddr> = interfaces
            .filter(|interface| interface.flags & (up | InterfaceFlags::IFF_LOOPBACK) == up)
            .filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()))
            .map(|address| (IpAddr::V4(address), self.port).into())
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
        self.desk.state().bar.finish_and_clear();
    }
}

impl Desk {
    /// Answers the requests of one connection, up to its end.
    fn serve(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut stream = BufReader::new(connection);
        while let Some(request) = Message::read(&mut stream)? {
            let (status, body) = self.answer(&request);
            http::write(connection, &format!("HTTP/1.1 {status}"), &[], Some(&body))?;
        }
        Ok(())
    }

    /// The status and the body of the answer.
    fn answer(&self, request: &Message) -> (&'static str, String) {
        let mut words = request.start.split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let number = path.strip_prefix("/square/");
        let number = number.and_then(|number| number.parse::<u32>().ok());
        match (method, path, number) {
            (Some("POST"), "/session", _) => {
                self.state().seen.sessions += 1;
                ("200 OK", self.token.clone())
            }
            (Some("GET"), _, Some(number)) => {
                let bearer = request.header("Authorization").unwrap_or_default();
                if bearer.strip_prefix("Bearer ") != Some(&self.token) {
                    return ("403 Forbidden", String::new());
                }
                let agent = request.header("User-Agent").unwrap_or_default();
                let rank = agent.strip_prefix("rank/");
                self.square(number, rank.and_then(|rank| rank.parse().ok()))
            }
            _ => ("404 Not Found", String::new()),
        }
    }

    /// The answer to a slow request, if there is capacity for it.
    fn square(&self, number: u32, rank: Option<usize>) -> (&'static str, String) {
        if !self.state().begin(rank, self.limit) {
            return ("503 Service Unavailable", String::new());
        }
        thread::sleep(self.time);
        // Before the answer: a rank that has the answer lets the next one send a request.
        self.state().end(rank);
        ("200 OK", u64::from(number).pow(2).to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A request arrives. Returns whether there is capacity for it.
    fn begin(&mut self, rank: Option<usize>, limit: u32) -> bool {
        self.seen.most = self.seen.most.max(self.at_once + 1);
        let has_room = self.at_once < limit;
        if has_room {
            self.at_once += 1;
            self.mark(rank, Mark::IsServed);
        } else {
            self.seen.refused += 1;
            self.mark(rank, Mark::Refused);
        }
        has_room
    }

    /// A request is complete.
    fn end(&mut self, rank: Option<usize>) {
        self.at_once -= 1;
        self.seen.answered += 1;
        self.mark(rank, Mark::Answered);
        self.bar.inc(1);
    }

    fn mark(&mut self, rank: Option<usize>, mark: Mark) {
        if let Some(place) = rank.and_then(|rank| self.marks.get_mut(rank)) {
            *place = mark;
        }
        self.bar.set_message(picture(&self.marks));
    }
}

/// Shows the ranks that are served, a cross for each that was refused and has not tried again, and
/// dots for the others.
fn picture(marks: &[Mark]) -> String {
    let width = marks.len().saturating_sub(1).to_string().len();
    let cell = |(rank, mark): (usize, &Mark)| match mark {
        Mark::Answered => format!("{:>width$}", "·"),
        Mark::IsServed => format!("{rank:>width$}"),
        Mark::Refused => format!("{:>width$}", "×"),
    };
    let cells: Vec<String> = marks.iter().enumerate().map(cell).collect();
    format!("served: {}", cells.join(" "))
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
            ranks: 12,
            is_remote,
        };
        Service::start(&plan).unwrap()
    }

    #[test]
    fn one_more_than_its_limit_is_refused() {
        let service = service(false);
        let addresses = service.addresses().unwrap();
        let connect = |rank| Client::connect(&addresses, rank, TIME).unwrap();
        let token = &connect(0).log_in().unwrap();
        let answers = thread::scope(|scope| {
            let ask = |rank| scope.spawn(move || connect(rank).square(7, token).unwrap());
            [0, 1, 2].map(ask).map(|thread| thread.join().unwrap())
        });
        let refused = answers.iter().filter(|answer| answer.is_none()).count();
        assert!(answers.iter().flatten().all(|&square| square == 49));
        let seen = service.seen();
        assert_eq!((refused, seen.refused, seen.answered), (1, 1, 2));
        assert_eq!((seen.most, seen.sessions), (3, 1));
        assert_eq!(
            connect(2).square(u32::MAX, token).unwrap(),
            Some(18446744065119617025)
        );
    }

    #[test]
    fn who_has_not_logged_in_is_not_served() {
        let service = service(false);
        let addresses = service.addresses().unwrap();
        let mut client = Client::connect(&addresses, 0, TIME).unwrap();
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
            Client::connect(&[address], 0, TIME).unwrap();
        }
    }

    #[test]
    fn the_picture_shows_who_is_served() {
        let mut marks = [Mark::Answered; 11];
        marks[1] = Mark::Refused;
        marks[10] = Mark::IsServed;
        let expected = "served:  ·  ×  ·  ·  ·  ·  ·  ·  ·  · 10";
        assert_eq!(picture(&marks), expected);
        assert_eq!(picture(&marks[..2]), "served: · ×");
    }
}
