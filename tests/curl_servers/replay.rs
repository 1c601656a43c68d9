//! Fetches what a test's command asks for with the real lane, many tests at once.
//!
//! A redirect is followed as the crawler does: its target is a URL of its own, made canonical, and fetched from the same
//! server whatever its host is (curl's tests map names by options).

use super::command::Plan;
use super::script::Script;
use super::server::{Heard, Pieces, Server, serve_each};
use cyclosa::config::Proxy;
use cyclosa::event::{Outcome, Page};
use cyclosa::fetch::{Lane, LaneSettings, Resolver};
use cyclosa::limits::REDIRECTS_MAX;
use cyclosa::parse::decode::{Decoded, Decoder, Why};
use cyclosa::protocol::url::{Base, canonical, resolve};
use cyclosa::time::{Clock, SECOND, Tick, wall_now};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Fetches on their way at once.
const TOGETHER: usize = 100;
/// Lanes with a proxy at once.
const LANES: usize = 8;
/// Longest that the whole may take beyond the clocks of its fetches.
const PATIENCE: Tick = 120 * SECOND;

/// One response, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub status: u16,
    pub head: Vec<u8>,
    /// Without transfer coding.
    pub body: Vec<u8>,
    /// Without content codings either, as far as they could be undone.
    pub plain: Vec<u8>,
    /// What stood in the way.
    pub defect: Option<Why>,
    /// It was a redirect, and its target is the next answer.
    pub followed: bool,
    /// It was a redirect beyond the limit.
    pub beyond: bool,
}

/// A test that has been replayed.
pub struct Replayed {
    /// The script, with the port that its server had.
    pub script: Arc<Script>,
    pub port: u16,
    pub plan: Plan,
    /// What came of the URLs, each with its redirects.
    pub transcript: Vec<Vec<Answer>>,
    /// What the server was asked for.
    pub heard: Heard,
}

/// How long a reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Some servers hold their connection open for ever; the others need milliseconds.
    Short,
    /// As in a crawl: no server here is so slow.
    Default,
}

/// A lane.
pub struct Net {
    lane: Lane,
    clock: Clock,
    decoder: Decoder,
}

impl Net {
    /// One that fetches through `proxy`, where there is one.
    pub fn new(clocks: Clocks, proxy: Option<Proxy>) -> Self {
        let clock = Clock::starting_at(SECOND);
        let mut settings = LaneSettings {
            clock,
            proxy,
            ..LaneSettings::default()
        };
        if clocks == Clocks::Short {
            settings.clocks.first_byte = 4 * SECOND;
            settings.clocks.rate_window = 3 * SECOND;
            settings.clocks.rate_min = 10;
            settings.clocks.total = 6 * SECOND;
        }
        let resolver = Resolver::new(&[], &[]);
        Self {
            lane: Lane::new(settings, resolver).expect("a lane"),
            clock,
            decoder: Decoder::new(),
        }
    }

    /// Orders `url` from `address` for the task `slot`.
    pub fn order(&mut self, slot: u32, url: Vec<u8>, path_at: u16, address: SocketAddr) {
        let page = Page {
            slot,
            host: slot,
            url,
            path_at,
            address: Some(address),
            ..Page::default()
        };
        self.lane.accept(Box::new(page), self.clock.now());
    }

    /// Waits for something to happen; appends the pages that are finished.
    pub fn turn(&mut self, out: &mut Vec<Box<Page>>) {
        self.lane.park(Duration::from_millis(20));
        self.lane.turn(self.clock.now(), wall_now(), out);
    }

    fn answer(&mut self, page: &Page) -> Answer {
        let mut answer = Answer {
            outcome: page.outcome,
            status: page.facts.status,
            head: page.head().to_vec(),
            body: page.body().to_vec(),
            plain: Vec::new(),
            defect: None,
            followed: false,
            beyond: false,
        };
        let decoded = match page.facts.coding_unknown {
            true => Decoded::Failed(Why::Unknown),
            false => self.decoder.decode(&answer.body, &page.facts.codings),
        };
        answer.plain = decoded.bytes().to_vec();
        if let Decoded::Partial(_, why) | Decoded::Failed(why) = decoded {
            answer.defect = Some(why);
        }
        answer
    }
}

/// A test under way.
struct Task {
    server: Server,
    plan: Plan,
    transcript: Vec<Vec<Answer>>,
}

impl Task {
    /// Orders the next URL of the command; `false` where there is none.
    fn next(&mut self, slot: u32, net: &mut Net) -> bool {
        while let Some(url) = self.plan.urls.get(self.transcript.len()) {
            self.transcript.push(Vec::new());
            if let Ok((url, path_at)) = canonical(url.as_bytes()) {
                self.order(slot, url, path_at, net);
                return true;
            }
        }
        false
    }

    fn order(&self, slot: u32, url: Vec<u8>, path_at: u16, net: &mut Net) {
        let server = self.server.address;
        let address = match &self.plan.through {
            Some(through) => through.address(&url[..usize::from(path_at)], server),
            None => server,
        };
        net.order(slot, url, path_at, address);
    }

    fn end(self) -> Replayed {
        Replayed {
            script: self.server.script.clone(),
            port: self.server.address.port(),
            plan: self.plan,
            transcript: self.transcript,
            heard: self.server.heard(),
        }
    }

    /// Takes an answer and orders what follows; `false` where the test is through.
    fn take(&mut self, page: &Page, net: &mut Net) -> bool {
        let mut answer = net.answer(page);
        let chain = self.transcript.last_mut().expect("a URL under way");
        let location = page.facts.location.of(&page.buf);
        let redirect = answer.outcome.has_response() && (300..400).contains(&answer.status);
        let mut target = None;
        if redirect && self.plan.follow && !location.is_empty() {
            answer.beyond = chain.len() >= self.plan.redirects.min(usize::from(REDIRECTS_MAX));
            if !answer.beyond {
                let base = Base::new(&page.url).expect("an ordered URL");
                let mut url = Vec::new();
                target = resolve(&base, location, &mut url).ok().map(|at| (url, at));
            }
        }
        answer.followed = target.is_some();
        chain.push(answer);
        match target {
            Some((url, path_at)) => {
                self.order(page.slot, url, path_at, net);
                true
            }
            None => self.next(page.slot, net),
        }
    }
}

impl Task {
    fn start(folder: &Path, number: u32, pieces: Pieces) -> Self {
        let server = Server::start(folder.to_path_buf(), number, pieces);
        let plan = Plan::of(&server.script, server.address.port());
        Self {
            plan: plan.expect("a test that can be expressed"),
            server,
            transcript: Vec::new(),
        }
    }
}

/// Fetches what the commands of `tests` ask for: in one lane together, or through a proxy each in a lane of its own.
pub fn replay(
    folder: &Path,
    tests: &[u32],
    clocks: Clocks,
    pieces: impl Fn(u32) -> Pieces + Sync,
) -> BTreeMap<u32, Replayed> {
    let is_straight = |number: &u32| {
        let script = Script::load(folder, *number, 0).expect("a test file");
        Plan::of(&script, 0).is_ok_and(|plan| plan.through.is_none())
    };
    let (straight, proxied): (Vec<u32>, Vec<u32>) = tests.iter().partition(|n| is_straight(n));
    let (mut straight, proxied) = (straight.into_iter(), Mutex::new(proxied.into_iter()));
    let through = Mutex::new(BTreeMap::new());
    let next = || proxied.lock().expect("no panic under the lock").next();
    let done = |mut some| {
        through
            .lock()
            .expect("no panic under the lock")
            .append(&mut some)
    };
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(number) = next() {
                    done(alone(Task::start(folder, number, pieces(number)), clocks));
                }
            });
        }
        done(together(&mut Net::new(clocks, None), || {
            let number = straight.next()?;
            Some(Task::start(folder, number, pieces(number)))
        }));
    });
    through.into_inner().expect("no panic under the lock")
}

/// Has a task in a lane with its proxy.
fn alone(task: Task, clocks: Clocks) -> BTreeMap<u32, Replayed> {
    let through = task.plan.through.as_ref().expect("a proxy");
    let Some(proxy) = through.proxy(task.server.address) else {
        return BTreeMap::from([(task.server.script.number, task.end())]);
    };
    let mut task = Some(task);
    together(&mut Net::new(clocks, Some(proxy)), || task.take())
}

/// Has all tasks in one lane, some at once.
fn together(net: &mut Net, mut more: impl FnMut() -> Option<Task>) -> BTreeMap<u32, Replayed> {
    let (mut tasks, mut through) = (BTreeMap::new(), BTreeMap::new());
    let (mut out, start) = (Vec::new(), net.clock.now());
    loop {
        while tasks.len() < TOGETHER {
            let Some(mut task) = more() else { break };
            let number = task.server.script.number;
            match task.next(number, net) {
                true => drop(tasks.insert(number, task)),
                false => drop(through.insert(number, task.end())),
            }
        }
        if tasks.is_empty() {
            return through;
        }
        let late = net.clock.now() - start > PATIENCE;
        assert!(!late, "hanging: {:?}, {:?}", tasks.keys(), net.lane.load());
        net.turn(&mut out);
        for page in out.drain(..) {
            let task = tasks.get_mut(&page.slot).expect("a test under way");
            if !task.take(&page, net) {
                let task = tasks.remove(&page.slot).expect("a test under way");
                through.insert(page.slot, task.end());
            }
        }
    }
}

/// Fetches each of `replies` from a server that sends it to any request and ends the connection.
pub fn fetch_each(replies: Vec<Vec<u8>>) -> Vec<Answer> {
    let count = replies.len();
    let address = serve_each(replies);
    let mut net = Net::new(Clocks::Default, None);
    let (mut answers, mut ordered) = (BTreeMap::new(), 0);
    let (mut out, start) = (Vec::new(), net.clock.now());
    while answers.len() < count {
        while ordered < count && ordered - answers.len() < TOGETHER {
            let origin = format!("http://{address}");
            let url = format!("{origin}/{ordered}").into_bytes();
            net.order(ordered as u32, url, origin.len() as u16, address);
            ordered += 1;
        }
        let late = net.clock.now() - start > PATIENCE;
        assert!(!late, "{} of {count}, {:?}", answers.len(), net.lane.load());
        net.turn(&mut out);
        for page in out.drain(..) {
            answers.insert(page.slot, net.answer(&page));
        }
    }
    answers.into_values().collect()
}
