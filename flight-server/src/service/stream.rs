//! The life of a stream: from its admission until the transport has sent all of it.
//!
//! ```text
//!  admitted ──► producing ──► ended: the client is told why ──► all sent
//!                  │ unread for too long        │ unread still
//!                  └────────► ended             └──────────────► connection cut
//! ```
//!
//! A stream that nobody reads holds a place, messages and decoded chunks, and its transport polls
//! it no more, so it cannot end itself: a task watches it from outside.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flightcache_cache::{Error, Result};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tonic::Status;

use super::body::Outgoing;
use crate::{
    accept::Line,
    node::{Node, cut},
    status::status,
};

/// How long, at least, a stream must be unread and somebody wait before the stream is ended for it.
const MIN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a client whose stream was ended because it did not read it has to hear of that.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How often a stream is looked at, at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long before its deadline a caller is told that it waits in vain, so that the answer arrives.
const ANSWER_AHEAD: Duration = Duration::from_millis(200);

/// Hands messages of a stream to its body; an `Err` is the end.
pub(super) type Sender = mpsc::Sender<std::result::Result<Outgoing, Status>>;

/// Asks anew whether the caller of a stream may go on.
pub(super) type MayGoOn = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// Where a request came from, and until when its caller waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    pub(super) line: Option<Line>,
    pub(super) deadline: Option<Instant>,
}

impl Reader {
    /// The caller of `request`, which arrives at this moment.
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        let deadline = grpc_timeout(request).map(|timeout| Instant::now() + timeout);
        Self { line: Line::of(request), deadline }
    }

    /// When a wait of at most `limit` must end for the caller to hear of it.
    pub(super) fn until(&self, limit: Duration) -> Instant {
        let latest = Instant::now() + limit;
        self.deadline.map_or(latest, |deadline| {
            latest.min(deadline.checked_sub(ANSWER_AHEAD).unwrap_or(deadline))
        })
    }
}

/// How long the caller of `request` waits for it, if it says so.
pub(crate) fn grpc_timeout<B>(request: &http::Request<B>) -> Option<Duration> {
    duration(request.headers().get("grpc-timeout")?.to_str().ok()?)
}

/// Digits and a unit, as gRPC writes them.
fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// When the transport last took something from a body. `Clone` shares it.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Beat>);

#[derive(Debug)]
struct Beat {
    start: Instant,
    taken_ms: AtomicU64,
    /// Two tasks of the transport write one each of these and then look at both: in one order for
    /// all, or each could miss what the other wrote.
    hungry: AtomicBool,
    under_way: AtomicUsize,
    changed: Notify,
}

/// A message that the transport has taken, until it has sent it.
#[derive(Debug)]
pub(super) struct UnderWay(Pulse);

impl UnderWay {
    /// Notes that the client took a part of it.
    pub(super) fn sent(&self) {
        self.0.sent();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.0.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.0.changed.notify_waiters();
        }
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self::since(Instant::now())
    }

    fn since(start: Instant) -> Self {
        let (taken_ms, hungry) = (AtomicU64::new(0), AtomicBool::new(false));
        let under_way = AtomicUsize::new(0);
        Self(Arc::new(Beat { start, taken_ms, hungry, under_way, changed: Notify::new() }))
    }

    /// Notes that the transport asked, and whether there was nothing for it.
    pub(super) fn beat(&self, hungry: bool) {
        self.sent();
        self.0.hungry.store(hungry, Ordering::SeqCst);
        if self.waits() {
            self.0.changed.notify_waiters();
        }
    }

    /// Notes that the transport takes a message.
    pub(super) fn under_way(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.clone())
    }

    /// Whether the client waits for us: the transport asked for more, and has sent all it had. It
    /// asks before it has, as long as its buffers take it.
    fn waits(&self) -> bool {
        self.0.hungry.load(Ordering::SeqCst) && self.0.under_way.load(Ordering::SeqCst) == 0
    }

    /// Waits until the client waits for us.
    pub(super) async fn asked(&self) {
        self.until(Self::waits).await;
    }

    /// Waits until the transport holds nothing more of what it took.
    async fn drained(&self) {
        self.until(|pulse| pulse.0.under_way.load(Ordering::SeqCst) == 0).await;
    }

    /// Notes that the client took something of what the transport has.
    fn sent(&self) {
        self.0.taken_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    /// How long the client has left the stream unread; zero while it waits for us.
    fn idle(&self) -> Duration {
        if self.waits() {
            return Duration::ZERO;
        }
        let taken_ms = self.0.taken_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(taken_ms))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Counts a stream as open for as long as it lives.
pub(super) struct OpenStream {
    node: Arc<Node>,
    reader: Reader,
    may_go_on: MayGoOn,
    pulse: Pulse,
    _permit: OwnedSemaphorePermit,
}

impl OpenStream {
    pub(super) fn new(
        node: Arc<Node>,
        reader: Reader,
        may_go_on: MayGoOn,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        node.flight.streams.fetch_add(1, Ordering::Relaxed);
        node.flight.streams_open.fetch_add(1, Ordering::Relaxed);
        Self { node, reader, may_go_on, pulse: Pulse::new(), _permit: permit }
    }

    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Sees the stream to its end: what `produced` comes to, or that it is unread, overdue or allowed
    /// no more. The client learns of it through `sender`, if it reads; its connection is cut if it does not.
    pub(super) async fn attend(self, mut produced: JoinHandle<Result<()>>, sender: Sender) {
        let mut patience = self.patience();
        let end = tokio::select! {
            end = &mut produced => match end {
                Ok(Ok(())) => Status::ok(""),
                Ok(Err(error)) => status("DoGet", &error),
                Err(ended) => status("DoGet", &cut(&ended)),
            },
            () = sender.closed() => {
                produced.abort();
                return;
            }
            end = self.overdue() => end,
            error = self.unread(Duration::ZERO, patience) => {
                patience = END_PATIENCE;
                status("DoGet", &error)
            }
            error = self.refused() => status("DoGet", &error),
        };
        produced.abort();
        let idle = self.pulse.idle();
        tokio::select! {
            () = async {
                // Nobody listens if the client is gone.
                let _ = sender.send(Err(end)).await;
                sender.closed().await;
                // The end is told, and what was sent before it may still lie there unread.
                self.pulse.drained().await;
            } => {}
            _ = self.unread(idle, patience) => if let Some(line) = &self.reader.line { line.cut() },
        }
    }

    /// How long a stream may be unread while others wait.
    fn patience(&self) -> Duration {
        (self.node.settings.queue_timeout / 4).max(MIN_PATIENCE)
    }

    /// Ends when the client has left the stream unread for too long, `already` not counted.
    async fn unread(&self, already: Duration, patience: Duration) -> Error {
        let settings = &self.node.settings;
        loop {
            sleep(LOOK_EVERY.min(settings.stream_idle_timeout / 4)).await;
            let idle = self.pulse.idle().saturating_sub(already);
            // Half of it once somebody has waited for half of what he will: several rounds of
            // unread streams may stand before him.
            let late = self.node.waiters().longest() >= settings.queue_timeout / 2;
            let patience = if late { patience / 2 } else { patience };
            let pressed = self.node.waiters().pressed(patience);
            if idle >= settings.stream_idle_timeout || (pressed && idle >= patience) {
                let seconds = self.pulse.idle().as_secs();
                return Error::exhausted(format!(
                    "the stream was not read for {seconds} s: read on, or ask again when you do"
                ));
            }
        }
    }

    /// Ends when the caller may go on no more.
    async fn refused(&self) -> Error {
        loop {
            sleep(LOOK_EVERY).await;
            if let Err(error) = (self.may_go_on)() {
                return error;
            }
        }
    }

    /// Ends when the caller's deadline is over, or about to be while the stream waits for memory.
    async fn overdue(&self) -> Status {
        let Some(deadline) = self.reader.deadline else { return std::future::pending().await };
        sleep_until(self.reader.until(deadline.duration_since(Instant::now()))).await;
        if !self.node.waiters().longest().is_zero() && self.pulse.idle().is_zero() {
            return status("DoGet", &Error::exhausted("no memory is free within your deadline"));
        }
        sleep_until(deadline).await;
        Status::deadline_exceeded("the deadline of the call is over")
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.node.flight.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("2H", Some(Duration::from_hours(2))),
            ("3M", Some(Duration::from_mins(3))),
            ("4S", Some(Duration::from_secs(4))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("5", None),
            ("-5S", None),
            ("5ü", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn a_body_that_waits_for_us_is_not_idle() {
        let start = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        let pulse = Pulse::since(start);
        pulse.0.taken_ms.store(20_000, Ordering::Relaxed);
        assert_eq!(pulse.idle().as_secs(), 40);
        pulse.0.hungry.store(true, Ordering::Relaxed);
        assert_eq!(pulse.idle(), Duration::ZERO);
        pulse.beat(false);
        assert_eq!(pulse.idle().as_secs(), 0);
    }

    #[tokio::test]
    async fn who_waits_hears_that_the_client_waits() {
        let pulse = Pulse::new();
        pulse.beat(false);
        let mut asked = pin!(pulse.asked());
        assert!(futures::poll!(asked.as_mut()).is_pending());
        let message = pulse.under_way();
        pulse.beat(true);
        assert!(futures::poll!(asked.as_mut()).is_pending(), "it has not read what was sent");
        drop(message);
        assert!(futures::poll!(asked.as_mut()).is_ready());
    }
}
