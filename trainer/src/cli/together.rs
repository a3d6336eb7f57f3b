//! `trishift train` on several cards: starting the ranks, or being one of them.

use super::output::{self, tell};
use super::settings;
use super::{Ending, FAILED, INTERRUPTED};
use anyhow::Context;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use trishift_trainer::backend::{Device, Resolved};
use trishift_trainer::parallel::launch::{self, Ended, LAUNCHED};
use trishift_trainer::parallel::{Group, Limits, Link, Outcome, Place, Worker};

/// How this process trains.
pub(super) enum Part {
    /// By itself, on any device.
    Alone,
    /// By itself, on a card.
    OneCard,
    /// Not at all: the ranks that it started have ended like this.
    Launched(Ending),
    /// As one of several ranks, of which it knows the others.
    Rank(Group),
}

/// Finds out which part this process has: by `--gpus` or `TRISHIFT_GPUS` it starts others, by a launcher's variables it is one of
/// several. Waits in the one case until all have ended, in the other until all have come.
///
/// # Errors
/// Options and variables that contradict each other, cards that are not there, ranks that do not come; a rank's errors begin
/// with its number.
pub(super) fn part(gpus: Option<u32>, device: Option<&str>) -> anyhow::Result<Part> {
    let launcher = variable(LAUNCHED);
    let place = Place::from_variables(variable)?;
    let place = match (place, settings::gpus(gpus)?) {
        (Some(place), _) if launcher.is_some() => place,
        (Some(place), _) if place.world > 1 => {
            let Place { rank, world, .. } = place;
            let started = "a launcher has started this process as";
            anyhow::ensure!(
                gpus.is_none(),
                "{started} rank {rank} of {world}; --gpus starts ranks itself, leave it out"
            );
            place
        }
        (_, Some((name, gpus))) if launcher.is_none() => {
            check(&name, gpus, device)?;
            if gpus > 1 {
                return Ok(Part::Launched(launch(gpus)?));
            }
            return Ok(Part::OneCard);
        }
        _ => return Ok(Part::Alone),
    };
    if place.world == 1 {
        return Ok(Part::Alone);
    }
    let rank = place.rank;
    join(&place, device, launcher).with_context(|| name(rank)).map(Part::Rank)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What stands before a rank's messages.
fn name(rank: usize) -> String {
    format!("rank {rank}")
}

/// Whether the machine has so many cards, and nothing else names another device.
fn check(name: &str, gpus: u32, device: Option<&str>) -> anyhow::Result<()> {
    anyhow::ensure!(gpus > 0, "{name} is 0; 1 or more cards are needed, and --device cpu trains without one");
    check_device(device, name)?;
    let there = cards().with_context(|| format!("{name} is {gpus}"))?;
    anyhow::ensure!(gpus <= there, "{name} is {gpus}; this machine has {}", counted(there));
    Ok(())
}

/// Ranks have their cards by their numbers: no other device may be named, be it by the option or by its variable.
fn check_device(device: Option<&str>, why: &str) -> anyhow::Result<()> {
    let Some((source, device)) = settings::device_name(device)? else { return Ok(()) };
    let is_free = device.parse::<Device>()? == Device::Auto || device == "cuda";
    anyhow::ensure!(is_free, "{source} is {device}, but {why} takes cards by their numbers; leave {source} out");
    Ok(())
}

fn counted(cards: u32) -> String {
    match cards {
        0 => "no card".into(),
        1 => "1 card".into(),
        _ => format!("{cards} cards"),
    }
}

/// How many cards there are.
#[cfg(feature = "cuda")]
fn cards() -> anyhow::Result<u32> {
    Ok(trishift_trainer::backend::cuda::card::Card::count()?)
}

#[cfg(not(feature = "cuda"))]
fn cards() -> anyhow::Result<u32> {
    Err(trishift_trainer::backend::DeviceError::NoCuda.into())
}

/// Starts this same command on so many cards.
fn launch(gpus: u32) -> anyhow::Result<Ending> {
    let program = std::env::current_exe().context("cannot find this program itself")?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = launch::launch(gpus as usize, &program, &arguments)?;
    // Ranks that end by themselves have said why.
    if let Some(message) = unsaid(&outcome) {
        tell!("error: {message}");
    }
    Ok(match outcome.code() {
        0 => Ending::Done,
        INTERRUPTED => Ending::Interrupted,
        code => Ending::Failed(code),
    })
}

/// What no rank can say: that it was ended from outside.
fn unsaid(outcome: &Outcome) -> Option<String> {
    let first = match outcome.first {
        Some((rank, Ended::Signal(signal))) if !outcome.was_interrupted => {
            Some(format!("rank {rank} was ended by signal {signal}"))
        }
        _ => None,
    };
    let killed: Vec<_> = outcome.killed.iter().map(|rank| name(*rank)).collect();
    let killed = (!killed.is_empty()).then(|| format!("{} did not end by itself and was killed", killed.join(" and ")));
    match (first, killed) {
        (Some(first), Some(killed)) => Some(format!("{first}; {killed}")),
        (first, killed) => first.or(killed),
    }
}

/// Becomes a rank: waits for the others, and from then on ends with them.
fn join(place: &Place, device: Option<&str>, launcher: Option<String>) -> anyhow::Result<Group> {
    check_device(device, "a rank")?;
    let rank = place.rank;
    if let Some(launcher) = launcher.and_then(|launcher| launcher.parse().ok()) {
        launch::follow_launcher(launcher, move || {
            end(rank, anyhow::anyhow!("the launcher is gone, and the run did not end by itself"))
        })?;
    }
    let group = Group::join(place, Limits::default())?;
    group.watch(move |fault| end(rank, fault.into()));
    Ok(group)
}

/// Ends this process while its main thread may wait for ever.
fn end(rank: usize, error: anyhow::Error) {
    // Below the bar, not behind it.
    if rank == 0 && io::stderr().is_terminal() {
        tell!("");
    }
    output::error(&error.context(name(rank)));
    // At once: what an ordinary end runs would wait for the card, whose sum the dead rank never gives its part to.
    signal_hook::low_level::exit(FAILED.into());
}

/// What a rank trains on and its way to the others: the card of its number on its machine, or the only one that it is shown, as
/// Slurm does it.
///
/// # Errors
/// No card of this number; NCCL.
pub(super) fn worker(group: &Group) -> anyhow::Result<(Resolved, Worker)> {
    let local_rank = u32::try_from(group.local_rank())?;
    let device = Device::Cuda(if cards()? == 1 { 0 } else { local_rank }).resolve()?;
    let link = link(group, &device)?;
    Ok((device, Worker { rank: group.rank(), world: group.world(), link }))
}

/// Joins the cards of all ranks.
#[cfg(feature = "cuda")]
fn link(group: &Group, device: &Resolved) -> anyhow::Result<Link> {
    use trishift_trainer::backend::cuda::{Nccl, nccl};
    let Resolved::Cuda { card, .. } = device else { anyhow::bail!("ranks train on cards") };
    let id = if group.rank() == 0 { nccl::new_id()?.to_vec() } else { Vec::new() };
    let id = group.broadcast(&id)?;
    let id = id.try_into().map_err(|_| anyhow::anyhow!("rank 0 gave no number by which cards find each other"))?;
    Ok(Link::Cards(Nccl::join(card, group.rank(), group.world(), id)?.into()))
}

#[cfg(not(feature = "cuda"))]
fn link(_: &Group, _: &Resolved) -> anyhow::Result<Link> {
    Err(trishift_trainer::backend::DeviceError::NoCuda.into())
}

/// Runs a rank's work and tells the others how it ended.
///
/// # Errors
/// Those of the work, or the fault that came before.
pub(super) fn finish(group: Group, work: impl FnOnce(&Group) -> anyhow::Result<Ending>) -> anyhow::Result<Ending> {
    let rank = group.rank();
    match work(&group) {
        Ok(ending) => {
            group.leave();
            Ok(ending)
        }
        Err(error) => {
            let error = match group.fail(&output::sentence(&error)) {
                Some(fault) => anyhow::Error::from(fault),
                None => error,
            };
            Err(error.context(name(rank)))
        }
    }
}
