//! The crew's effects, carried out: workers, timers and the download.

use std::collections::HashMap;

use gloo_timers::callback::Timeout;

use super::fetch::Fetch;
use super::inbox::Inbox;
use super::thread::Thread;
use crate::crew::{Alarm, Effect, Event, Heard, Kind, News, Waiting};
use crate::protocol::{self, Request, Sighting};

impl Kind {
    /// The script that trunk makes for the worker, relative to the page: this works under any path.
    fn script(self) -> &'static str {
        match self {
            Self::Gpu => "./worker-gpu_loader.js",
            Self::Cpu => "./worker-cpu_loader.js",
        }
    }
}

/// What the crew's effects run on. Everything ends with it.
pub struct Engines {
    inbox: Inbox,
    /// Where the weights are.
    address: String,
    scout: Option<Thread>,
    threads: HashMap<u32, Thread>,
    download: Option<Fetch>,
    alarms: HashMap<Waiting, Timeout>,
}

impl Engines {
    /// Nothing runs yet. The inbox hears what happens; the weights are at an absolute address.
    pub fn new(inbox: Inbox, address: String) -> Self {
        Self { inbox, address, scout: None, threads: HashMap::new(), download: None, alarms: HashMap::new() }
    }

    /// Carries an effect out; what is for the visitor comes back.
    pub fn carry_out(&mut self, effect: Effect) -> Option<News> {
        match effect {
            Effect::Probe => self.probe(),
            Effect::EndProbe => self.scout = None,
            Effect::Download => {
                let inbox = self.inbox.clone();
                self.download = Some(Fetch::start(&self.address, move |news| inbox.send(Event::Download(news))));
            }
            Effect::EndDownload => self.download = None,
            Effect::Start(id, kind) => self.start(id, kind),
            Effect::End(id) => drop(self.threads.remove(&id)),
            Effect::Give(id) => {
                let weights = self.download.as_ref().and_then(Fetch::bytes);
                if let (Some(weights), Some(thread)) = (weights, self.threads.get(&id)) {
                    thread.send(&Request::Load { weights: weights.to_vec() });
                }
            }
            Effect::Send(id, request) => {
                if let Some(thread) = self.threads.get(&id) {
                    thread.send(&request);
                }
            }
            Effect::Wait(alarm, milliseconds) => self.wait(alarm, milliseconds),
            Effect::Rest(waiting) => drop(self.alarms.remove(&waiting)),
            Effect::Tell(news) => return Some(news),
        }
        None
    }

    fn probe(&mut self) {
        fn lost(reason: String) -> Sighting {
            Sighting::Nothing(format!("nobody could look for a GPU ({reason})"))
        }
        let inbox = self.inbox.clone();
        let hear = move |said: Result<Sighting, String>| inbox.send(Event::Seen(said.unwrap_or_else(lost)));
        match Thread::start("./scout_loader.js", hear) {
            Ok(scout) => self.scout = Some(scout),
            Err(reason) => self.inbox.send(Event::Seen(lost(reason))),
        }
    }

    fn start(&mut self, id: u32, kind: Kind) {
        let inbox = self.inbox.clone();
        let hear = move |said: Result<protocol::Event, String>| {
            let heard = said.map_or_else(Heard::Crashed, Heard::Said);
            inbox.send(Event::Engine { id, heard });
        };
        match Thread::start(kind.script(), hear) {
            Ok(thread) => {
                self.threads.insert(id, thread);
            }
            Err(reason) => self.inbox.send(Event::Engine { id, heard: Heard::NotStarted(reason) }),
        }
    }

    fn wait(&mut self, alarm: Alarm, milliseconds: u32) {
        let inbox = self.inbox.clone();
        let timeout = Timeout::new(milliseconds, move || inbox.send(Event::Silence(alarm)));
        self.alarms.insert(alarm.waiting, timeout);
    }
}
