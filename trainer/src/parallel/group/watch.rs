//! What every rank knows of the others while it trains, and the threads that find it out.
//!
//! One thread a connection reads; one more sends a heartbeat and counts how long the others have been silent. Time counts
//! only while this process runs: one that was stopped for an hour, together with the others, has missed an hour of nobody's
//! heartbeats. The first fault is the only one: what comes after it is its consequence.

use super::Fault;
use super::error::GroupError;
use super::message::{self, Message};
use super::{LAST_WORDS, Limits};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a fault is told to.
type OnFault = Box<dyn FnOnce(Fault) + Send>;

/// What all threads of a group share.
pub(super) struct Watch {
    rank: usize,
    limits: Limits,
    links: Vec<Link>,
    /// How often the main thread has moved on.
    ticks: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

/// A connection to another rank.
struct Link {
    rank: usize,
    /// Messages of several threads go out one after another.
    writer: Mutex<TcpStream>,
}

#[derive(Default)]
struct State {
    others: Vec<Other>,
    received: VecDeque<Vec<u8>>,
    fault: Option<Fault>,
    on_fault: Option<OnFault>,
    /// The main thread is watched: from here on it has to move on.
    is_watched: bool,
    /// Somebody is being told of the fault.
    is_telling: bool,
    /// This rank ends by itself: nothing is a fault any more.
    is_over: bool,
}

/// What is known of the rank at the other end of a link.
#[derive(Clone, Default)]
struct Other {
    /// Since its last message.
    silent: Duration,
    /// Since its main thread last moved on.
    idle: Duration,
    /// It has left in good order.
    has_left: bool,
    /// Nothing more comes from it.
    has_ended: bool,
}

impl Watch {
    /// Takes the connections and starts the threads.
    pub(super) fn start(rank: usize, streams: Vec<(usize, TcpStream)>, limits: Limits) -> io::Result<Arc<Self>> {
        let mut readers = Vec::with_capacity(streams.len());
        let mut links = Vec::with_capacity(streams.len());
        for (other, stream) in streams {
            readers.push(stream.try_clone()?);
            links.push(Link { rank: other, writer: Mutex::new(stream) });
        }
        let others = vec![Other::default(); links.len()];
        let state = Mutex::new(State { others, ..State::default() });
        let watch = Arc::new(Self { rank, limits, links, ticks: AtomicU64::new(0), state, changed: Condvar::new() });
        for (index, stream) in readers.into_iter().enumerate() {
            let watch = Arc::clone(&watch);
            thread::Builder::new().name("rank".into()).spawn(move || watch.read(index, stream))?;
        }
        let beating = Arc::clone(&watch);
        thread::Builder::new().name("heartbeat".into()).spawn(move || beating.beat())?;
        Ok(watch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// From here on the main thread has to move on, and a fault is told; one that is there already, at once.
    pub(super) fn tell(&self, on_fault: OnFault) {
        let mut state = self.lock();
        state.is_watched = true;
        match state.fault.clone() {
            Some(fault) => {
                drop(state);
                on_fault(fault);
            }
            None => state.on_fault = Some(on_fault),
        }
    }

    /// Sends to every rank that is still there. What cannot be sent is noticed where it is read.
    pub(super) fn send(&self, message: &Message) -> io::Result<()> {
        let frame = message::encode(message)?;
        let others = self.lock().others.clone();
        for (link, _) in self.links.iter().zip(others).filter(|(_, other)| !other.has_left && !other.has_ended) {
            let mut stream = link.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = stream.write_all(&frame) {
                tracing::debug!(rank = link.rank, "cannot send: {error}");
            }
        }
        Ok(())
    }

    fn send_or_note(&self, message: &Message) {
        if let Err(error) = self.send(message) {
            tracing::debug!("cannot send: {error}");
        }
    }

    /// The next broadcast.
    pub(super) fn receive(&self) -> Result<Vec<u8>, GroupError> {
        let mut state = self.lock();
        loop {
            if let Some(bytes) = state.received.pop_front() {
                return Ok(bytes);
            }
            if let Some(fault) = state.fault.clone() {
                self.wait_until_told(state);
                return Err(fault.into());
            }
            if state.others.iter().all(|other| other.has_left) {
                return Err(GroupError::HasLeft { rank: 0 });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The fault that comes within a time.
    pub(super) fn wait_for_fault(&self, limit: Duration) -> Option<Fault> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| state.fault.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let fault = state.fault.clone();
        self.wait_until_told(state);
        fault
    }

    /// Returns once nobody is being told of a fault: never, where that ends the process.
    fn wait_until_told(&self, state: MutexGuard<'_, State>) {
        drop(self.changed.wait_while(state, |state| state.is_telling).unwrap_or_else(PoisonError::into_inner));
    }

    /// The fault is found: tells it to whoever asked for it and, from rank 0, to all others.
    fn report(&self, fault: Fault) {
        let mut state = self.lock();
        if state.is_over || state.fault.is_some() {
            return;
        }
        state.fault = Some(fault.clone());
        let on_fault = state.on_fault.take();
        state.is_telling = on_fault.is_some();
        drop(state);
        self.changed.notify_all();
        if self.rank == 0 {
            self.spread(&fault);
        }
        if let Some(on_fault) = on_fault {
            on_fault(fault);
            self.lock().is_telling = false;
            self.changed.notify_all();
        }
    }

    /// Sends the news and waits a moment for the others' ends: what is still on its way when this process ends may be lost.
    fn spread(&self, fault: &Fault) {
        if self.send(&Message::Fault(fault.clone())).is_ok() {
            let all_ended = |state: &State| state.others.iter().all(|other| other.has_ended);
            drop(self.changed.wait_timeout_while(self.lock(), LAST_WORDS, |state| !all_ended(state)));
        }
    }

    /// Says why this rank ends by itself, unless a fault is there before: then that is the reason.
    pub(super) fn fail(&self, message: &str) -> Option<Fault> {
        if let fault @ Some(_) = self.end() {
            return fault;
        }
        let message = message::sentence(message);
        match self.rank {
            0 => self.spread(&Fault::Failed { rank: 0, message }),
            _ => self.send_or_note(&Message::Failed(message)),
        }
        self.close(Shutdown::Write);
        None
    }

    /// Says that this rank has done its work.
    pub(super) fn leave(&self) {
        self.end();
        self.send_or_note(&Message::Leave);
        // What the others still send is read: unread, it would end the connection before they have read this.
        self.close(Shutdown::Write);
    }

    /// Ends without a word; for the others this rank is gone.
    pub(super) fn break_off(&self) {
        let mut state = self.lock();
        state.is_over = true;
        drop(state);
        self.changed.notify_all();
        self.close(Shutdown::Both);
    }

    /// From here on nothing is a fault; gives the one that was there before.
    fn end(&self) -> Option<Fault> {
        let mut state = self.lock();
        if let fault @ Some(_) = state.fault.clone() {
            self.wait_until_told(state);
            return fault;
        }
        state.is_over = true;
        let on_fault = state.on_fault.take();
        drop(state);
        drop(on_fault);
        self.changed.notify_all();
        None
    }

    fn close(&self, how: Shutdown) {
        for link in &self.links {
            // The other side may have closed it.
            let _ = link.writer.lock().unwrap_or_else(PoisonError::into_inner).shutdown(how);
        }
    }

    /// Reads what a rank sends until it ends.
    fn read(&self, index: usize, mut stream: TcpStream) {
        let ended = loop {
            match message::receive(&mut stream) {
                Ok(message) => self.hear(index, message),
                Err(error) => break error,
            }
        };
        let mut state = self.lock();
        let other = &mut state.others[index];
        other.has_ended = true;
        let has_left = other.has_left;
        drop(state);
        self.changed.notify_all();
        let rank = self.links[index].rank;
        match ended.kind() {
            _ if has_left => {}
            ErrorKind::InvalidData => self.report(Fault::Garbled { rank }),
            _ => self.report(Fault::Gone { rank }),
        }
    }

    fn hear(&self, index: usize, message: Message) {
        let mut state = self.lock();
        let other = &mut state.others[index];
        other.silent = Duration::ZERO;
        let fault = match message {
            Message::Beat { idle } => {
                other.idle = idle;
                return;
            }
            Message::Leave => {
                other.has_left = true;
                None
            }
            Message::Bytes(bytes) => {
                state.received.push_back(bytes);
                None
            }
            Message::Failed(message) => {
                other.has_ended = true;
                Some(Fault::Failed { rank: self.links[index].rank, message: message::sentence(&message) })
            }
            Message::Fault(fault) => Some(fault),
        };
        drop(state);
        self.changed.notify_all();
        if let Some(fault) = fault {
            self.report(fault);
        }
    }

    /// Sends heartbeats and counts time, until the end.
    fn beat(&self) {
        let (mut seen, mut idle) = (0, Duration::ZERO);
        let mut last = Instant::now();
        loop {
            let waited = self.changed.wait_timeout(self.lock(), self.limits.beat);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.is_over || state.fault.is_some() {
                return;
            }
            // Longer is a process that was stopped itself.
            let passed = last.elapsed().min(2 * self.limits.beat);
            last = Instant::now();
            let ticks = self.ticks.load(Ordering::Relaxed);
            let moved = ticks != seen || !state.is_watched;
            (seen, idle) = (ticks, if moved { Duration::ZERO } else { idle + passed });
            for other in &mut state.others {
                other.silent += passed;
            }
            let fault = self.silent(&state.others).or_else(|| self.stuck(&state.others, idle));
            drop(state);
            match fault {
                Some(fault) => self.report(fault),
                None => self.send_or_note(&Message::Beat { idle }),
            }
        }
    }

    /// A rank that has sent nothing for too long.
    fn silent(&self, others: &[Other]) -> Option<Fault> {
        let present = others.iter().zip(&self.links).filter(|(other, _)| !other.has_left);
        let (other, link) = present.max_by_key(|(other, _)| other.silent)?;
        let seconds = self.limits.silence.as_secs();
        (other.silent > self.limits.silence).then_some(Fault::Silent { rank: link.rank, seconds })
    }

    /// A rank whose main thread stands still. Rank 0 knows it of all; where the others merely wait for one, it stood still
    /// before them.
    fn stuck(&self, others: &[Other], own: Duration) -> Option<Fault> {
        let present = others.iter().zip(&self.links).filter(|(other, _)| !other.has_left);
        let others: Vec<_> = present.map(|(other, link)| (other.idle, link.rank)).collect();
        let shortest = others.iter().map(|(idle, _)| *idle).min().filter(|_| self.rank == 0)?.min(own);
        let (longest, rank) = others.into_iter().chain([(own, 0)]).max()?;
        let seconds = self.limits.stuck.as_secs();
        (longest > self.limits.stuck).then(|| match longest - shortest > 3 * self.limits.beat {
            true => Fault::Stuck { rank, seconds },
            false => Fault::AllStuck { seconds },
        })
    }
}
