//! Sums of integers over the workers of a run: what they exchange, and all that they exchange.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use thiserror::Error;

/// Integers to be added up, in place.
#[derive(Debug)]
pub enum Integers<'a> {
    /// Votes.
    I8(&'a mut [i8]),
    /// Scores.
    I32(&'a mut [i32]),
    /// Statistics and totals.
    I64(&'a mut [i64]),
}

/// Why workers could not exchange anything.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// One of them has gone.
    #[error("another worker of this run ended before it was done")]
    Gone,
    /// They do not do the same.
    #[error("the workers of this run exchange different things; start all of them with the same configuration")]
    Different,
    /// The device.
    #[error("the exchange between cards failed: {0}")]
    Device(String),
}

/// A worker's way to the others of its run.
///
/// Every worker calls the same methods with as many integers, in the same order.
pub trait Exchange: Send + Sync + Debug {
    /// Replaces integers by their sums over all workers.
    ///
    /// # Errors
    /// [`ExchangeError`].
    fn sum(&self, integers: Integers<'_>) -> Result<(), ExchangeError>;
}

/// Of a run with one worker.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Exchange for Alone {
    fn sum(&self, _: Integers<'_>) -> Result<(), ExchangeError> {
        Ok(())
    }
}

/// Of workers that are threads of this process.
#[derive(Debug)]
pub struct InProcess<'a> {
    meeting: Arc<Meeting>,
    /// To the workers of other processes, for whoever comes last.
    beyond: &'a dyn Exchange,
}

#[derive(Debug)]
struct Meeting {
    workers: usize,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sums: Vec<i64>,
    arrived: usize,
    leaving: usize,
    /// Meetings that have taken place.
    round: u64,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Gone,
    Different,
}

impl<'a> InProcess<'a> {
    /// The exchange of so many threads, one for each, and through `beyond` that of other processes' threads.
    pub fn new(workers: usize, beyond: &'a dyn Exchange) -> Vec<Self> {
        let meeting = Arc::new(Meeting { workers, state: Mutex::default(), moved: Condvar::new() });
        (0..workers).map(|_| Self { meeting: meeting.clone(), beyond }).collect()
    }

    /// Adds `values` to those of the others, waits for them and receives the sums. Whoever comes last takes them beyond.
    fn meet<T: Copy>(
        &self,
        values: &mut [T],
        wide: fn(T) -> i64,
        narrow: fn(i64) -> T,
        beyond: impl FnOnce(&mut [T]) -> Result<(), ExchangeError>,
    ) -> Result<(), ExchangeError> {
        let Meeting { workers, state, moved } = &*self.meeting;
        let wait = |guard, until: &dyn Fn(&State) -> bool| {
            moved
                .wait_while(guard, |state| !until(state) && state.fault.is_none())
                .unwrap_or_else(PoisonError::into_inner)
        };
        let guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of the last meeting have to leave first.
        let mut state = wait(guard, &|state| state.leaving == 0);
        state.check()?;
        if state.arrived == 0 {
            state.sums = values.iter().map(|value| wide(*value)).collect();
        } else if state.sums.len() == values.len() {
            state.sums.iter_mut().zip(&*values).for_each(|(sum, value)| *sum = sum.wrapping_add(wide(*value)));
        } else {
            state.fault = Some(Fault::Different);
            moved.notify_all();
            return state.check();
        }
        state.arrived += 1;
        let round = state.round;
        if state.arrived == *workers {
            let mut sums: Vec<T> = state.sums.iter().map(|sum| narrow(*sum)).collect();
            if let Err(error) = beyond(&mut sums) {
                state.fault = Some(Fault::Gone);
                moved.notify_all();
                return Err(error);
            }
            state.sums = sums.into_iter().map(wide).collect();
            (state.arrived, state.leaving, state.round) = (0, *workers, round + 1);
            moved.notify_all();
        }
        let mut state = wait(state, &|state| state.round != round);
        if state.round == round {
            return state.check();
        }
        values.iter_mut().zip(&state.sums).for_each(|(value, sum)| *value = narrow(*sum));
        state.leaving -= 1;
        moved.notify_all();
        Ok(())
    }
}

impl State {
    fn check(&self) -> Result<(), ExchangeError> {
        match self.fault {
            Some(Fault::Gone) => Err(ExchangeError::Gone),
            Some(Fault::Different) => Err(ExchangeError::Different),
            None => Ok(()),
        }
    }
}

impl Exchange for InProcess<'_> {
    fn sum(&self, integers: Integers<'_>) -> Result<(), ExchangeError> {
        let beyond = self.beyond;
        match integers {
            Integers::I8(values) => {
                self.meet(values, i64::from, |sum| sum as i8, |sums| beyond.sum(Integers::I8(sums)))
            }
            Integers::I32(values) => {
                self.meet(values, i64::from, |sum| sum as i32, |sums| beyond.sum(Integers::I32(sums)))
            }
            Integers::I64(values) => {
                self.meet(values, |value| value, |sum| sum, |sums| beyond.sum(Integers::I64(sums)))
            }
        }
    }
}

impl Drop for InProcess<'_> {
    /// A worker that goes keeps nobody waiting.
    fn drop(&mut self) {
        let mut state = self.meeting.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.fault.get_or_insert(Fault::Gone);
        self.meeting.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_threads<T: Send>(workers: usize, work: impl Fn(usize, InProcess<'_>) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads = InProcess::new(workers, &Alone).into_iter().enumerate();
            let threads: Vec<_> = threads.map(|(rank, exchange)| scope.spawn(move || work(rank, exchange))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn everyone_receives_the_sums_of_every_round() {
        let found = on_threads(4, |rank, exchange| {
            let mut all = Vec::new();
            for round in 0..200 {
                let mut values = [rank as i64 + round, 1];
                exchange.sum(Integers::I64(&mut values)).unwrap();
                let mut votes = [rank as i8 - 2];
                exchange.sum(Integers::I8(&mut votes)).unwrap();
                all.push((values, votes));
            }
            all
        });
        let expected: Vec<_> = (0..200).map(|round| ([6 + 4 * round, 4], [-2i8])).collect();
        assert_eq!(found, vec![expected; 4]);
    }

    #[test]
    fn threads_add_up_to_processes() {
        let found = std::thread::scope(|scope| {
            let processes: Vec<_> = InProcess::new(2, &Alone)
                .into_iter()
                .map(|process| {
                    scope.spawn(move || {
                        std::thread::scope(|scope| {
                            let threads = InProcess::new(3, &process).into_iter().map(|thread| {
                                scope.spawn(move || {
                                    let mut values = [1, i32::MIN / 8];
                                    thread.sum(Integers::I32(&mut values)).unwrap();
                                    values
                                })
                            });
                            threads
                                .collect::<Vec<_>>()
                                .into_iter()
                                .map(|thread| thread.join().unwrap())
                                .collect::<Vec<_>>()
                        })
                    })
                })
                .collect();
            processes.into_iter().flat_map(|process| process.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(found, [[6, i32::MIN / 8 * 6]; 6]);
    }

    #[test]
    fn nobody_waits_for_one_that_has_gone() {
        let found = on_threads(3, |rank, exchange| {
            let first = exchange.sum(Integers::I64(&mut [1]));
            if rank == 1 {
                return (first.is_ok(), true);
            }
            (first.is_ok(), matches!(exchange.sum(Integers::I64(&mut [1])), Err(ExchangeError::Gone)))
        });
        assert_eq!(found, [(true, true); 3]);
    }

    #[test]
    fn workers_that_differ_are_told() {
        let found = on_threads(2, |rank, exchange| {
            matches!(exchange.sum(Integers::I64(&mut vec![0; rank + 1])), Err(ExchangeError::Different))
        });
        assert_eq!(found, [true; 2]);
    }
}
