//! Samples on their way from an interrupt to the application: the network runs while they come.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use embedded_io::{ErrorKind, ErrorType, Read};
use heapless::spsc::{Consumer, Producer, Queue};

/// Room for up to N − 1 samples: more than come during a run of the network. In firmware, in a `StaticCell`.
pub struct SampleQueue<const N: usize> {
    queue: Queue<i16, N>,
    is_lost: AtomicBool,
}

/// The interrupt's end.
pub struct Sampler<'q> {
    producer: Producer<'q, i16>,
    is_lost: &'q AtomicBool,
}

/// The application's end, a microphone.
pub struct QueueMicrophone<'q> {
    consumer: Consumer<'q, i16>,
    is_lost: &'q AtomicBool,
    /// The second byte of a sample whose first one has been read.
    half: Option<u8>,
}

/// Samples came faster than they were taken, and some are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplesLost;

impl fmt::Display for SamplesLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("samples came faster than they were taken, and some are lost")
    }
}

impl core::error::Error for SamplesLost {}

impl embedded_io::Error for SamplesLost {
    fn kind(&self) -> ErrorKind {
        ErrorKind::OutOfMemory
    }
}

impl<const N: usize> Default for SampleQueue<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> SampleQueue<N> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { queue: Queue::new(), is_lost: AtomicBool::new(false) }
    }

    /// Its two ends.
    pub fn split(&mut self) -> (Sampler<'_>, QueueMicrophone<'_>) {
        let (producer, consumer) = self.queue.split();
        let is_lost = &self.is_lost;
        (Sampler { producer, is_lost }, QueueMicrophone { consumer, is_lost, half: None })
    }
}

impl Sampler<'_> {
    /// Puts a sample into the queue. Where there is no room it is lost, and the microphone's next read says so.
    pub fn push(&mut self, sample: i16) {
        if self.producer.enqueue(sample).is_err() {
            self.is_lost.store(true, Ordering::Relaxed);
        }
    }
}

impl ErrorType for QueueMicrophone<'_> {
    type Error = SamplesLost;
}

/// Waits for at least one sample.
impl Read for QueueMicrophone<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, SamplesLost> {
        // Only this end takes it back: no sample that is lost in between goes unsaid but together with one before it.
        if self.is_lost.load(Ordering::Relaxed) {
            self.is_lost.store(false, Ordering::Relaxed);
            return Err(SamplesLost);
        }
        let mut count = 0;
        for byte in bytes {
            *byte = match self.half.take() {
                Some(byte) => byte,
                None => {
                    let sample = loop {
                        match self.consumer.dequeue() {
                            Some(sample) => break sample,
                            None if count > 0 => return Ok(count),
                            None => core::hint::spin_loop(),
                        }
                    };
                    let [first, second] = sample.to_le_bytes();
                    self.half = Some(second);
                    first
                }
            };
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_arrive_as_bytes_whatever_is_asked_for() {
        let mut queue = SampleQueue::<8>::new();
        let (mut sampler, mut microphone) = queue.split();
        for sample in [1, -2, 0x1234, 7] {
            sampler.push(sample);
        }
        let mut bytes = [0; 3];
        assert_eq!(microphone.read(&mut bytes), Ok(3));
        assert_eq!(bytes, [1, 0, 0xFE]);
        let mut bytes = [0; 9];
        assert_eq!(microphone.read(&mut bytes), Ok(5));
        assert_eq!(bytes[..5], [0xFF, 0x34, 0x12, 7, 0]);
        assert_eq!(microphone.read(&mut []), Ok(0));
    }

    #[test]
    fn what_is_lost_is_said_once() {
        let mut queue = SampleQueue::<4>::new();
        let (mut sampler, mut microphone) = queue.split();
        (0..5).for_each(|sample| sampler.push(sample));
        let mut bytes = [0; 6];
        assert_eq!(microphone.read(&mut bytes), Err(SamplesLost));
        assert_eq!(microphone.read(&mut bytes), Ok(6));
        assert_eq!(bytes, [0, 0, 1, 0, 2, 0]);
    }

    #[test]
    fn an_empty_queue_is_waited_for() {
        let mut queue = SampleQueue::<4>::new();
        let (mut sampler, mut microphone) = queue.split();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                sampler.push(-1);
            });
            let mut bytes = [0; 2];
            assert_eq!(microphone.read(&mut bytes), Ok(2));
            assert_eq!(bytes, [0xFF, 0xFF]);
        });
    }
}
