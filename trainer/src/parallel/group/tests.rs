use super::meeting::Meeting;
use super::message::{self, Answer, Hello, Message, PROTOCOL};
use super::*;
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

const VERSION: &str = "1.2.3";

/// Far longer than anything takes that is to happen, on a machine with better things to do.
const LONG: Duration = Duration::from_secs(60);

/// Long enough for what must not happen, had it been about to.
const SHORT: Duration = Duration::from_millis(300);

fn limits() -> Limits {
    Limits { start_up: LONG, beat: Duration::from_millis(20), silence: LONG, stuck: LONG }
}

/// Where a run meets in a test: a port that no other test can get.
struct Scene {
    listener: TcpListener,
    address: String,
}

impl Scene {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    fn join(&self, rank: usize, world: usize, version: &str, limits: Limits) -> Result<Group, GroupError> {
        let meeting = Meeting { address: &self.address, rank, world, version, limits };
        let streams = match rank {
            0 => (1..).zip(meeting.gather(&self.listener)?).collect(),
            _ => vec![(0, meeting.reach()?)],
        };
        let place = Place { rank, world, local_rank: rank, address: Some(self.address.clone()) };
        Group::over(&place, streams, limits)
    }

    /// Joins ranks of these numbers, worlds and versions at once; gives what became of each.
    fn meet(&self, ranks: &[(usize, usize, &str)], limits: Limits) -> Vec<Result<Group, GroupError>> {
        thread::scope(|scope| {
            let join = |&(rank, world, version)| scope.spawn(move || self.join(rank, world, version, limits));
            let threads: Vec<_> = ranks.iter().map(join).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// A connection that says what it is told to.
    fn fake(&self, rank: usize, world: usize) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        message::send_first(&mut stream, &Hello { protocol: PROTOCOL, version: VERSION.into(), world, rank }).unwrap();
        stream
    }
}

fn group(world: usize, limits: Limits) -> Vec<Group> {
    let ranks: Vec<_> = (0..world).map(|rank| (rank, world, VERSION)).collect();
    Scene::new().meet(&ranks, limits).into_iter().map(Result::unwrap).collect()
}

fn watch(group: &Group) -> Receiver<Fault> {
    let (sender, faults) = mpsc::channel();
    group.watch(move |fault| drop(sender.send(fault)));
    faults
}

/// All ranks but one learn of a fault, once.
#[track_caller]
fn expect(faults: &[Receiver<Fault>], but: usize, fault: &Fault) {
    for (rank, faults) in faults.iter().enumerate().filter(|(rank, _)| *rank != but) {
        assert_eq!(faults.recv_timeout(LONG).as_ref(), Ok(fault), "rank {rank}");
        assert!(faults.recv_timeout(LONG).is_err(), "rank {rank} is told twice");
    }
}

/// The sentences of ranks that did not come together.
fn sentences(ended: Vec<Result<Group, GroupError>>) -> Vec<String> {
    ended.into_iter().map(|ended| ended.unwrap_err().to_string()).collect()
}

#[test]
fn ranks_join_and_get_what_rank_0_sends() {
    let groups = group(4, limits());
    let first: Vec<u8> = (0..=255).collect();
    for bytes in [first, vec![7; LONGEST_BROADCAST], Vec::new()] {
        for (rank, group) in groups.iter().enumerate() {
            assert_eq!((group.rank(), group.world(), group.local_rank()), (rank, 4, rank));
            let own = if rank == 0 { &bytes[..] } else { b"not this" };
            assert!(group.broadcast(own).unwrap() == bytes);
        }
    }
    let error = groups[0].broadcast(&vec![0; LONGEST_BROADCAST + 1]).unwrap_err();
    assert_eq!(error.to_string(), "65537 bytes are too many for the control connection, which takes 65536");
}

#[test]
fn one_alone_waits_for_nobody() {
    let place = Place { rank: 0, world: 1, local_rank: 0, address: None };
    let group = Group::join(&place, limits()).unwrap();
    let faults = watch(&group);
    assert_eq!((group.rank(), group.world(), group.local_rank()), (0, 1, 0));
    assert_eq!(group.broadcast(b"bytes").unwrap(), b"bytes");
    group.tick();
    assert_eq!(group.fail("whatever"), None);
    group.leave();
    assert!(faults.try_recv().is_err());
    let error = Group::join(&Place { world: 2, ..place }, limits()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 ranks cannot meet without an address; set MASTER_ADDR to the name of rank 0's machine"
    );
}

#[test]
fn the_others_may_come_first() {
    let limits = limits();
    // Not a port that the system gives to others.
    let free = (20_000..30_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
    let address = Some(free.local_addr().unwrap().to_string());
    drop(free);
    let place = Place { rank: 0, world: 2, local_rank: 0, address };
    thread::scope(|scope| {
        let early = scope.spawn(|| Group::join(&Place { rank: 1, ..place.clone() }, limits));
        thread::sleep(SHORT);
        let late = Group::join(&place, limits).unwrap();
        assert_eq!((late.rank(), early.join().unwrap().unwrap().rank()), (0, 1));
    });
}

#[test]
fn ranks_of_two_runs_part_with_a_sentence() {
    let scene = Scene::new();
    let all = sentences(scene.meet(&[(0, 2, VERSION), (1, 3, VERSION)], limits()));
    let address = &scene.address;
    let sentence = format!("rank 1 of a run of 3 came to {address}, where a run of 2 meets; two runs share the port");
    assert_eq!(all, vec![sentence; 2]);

    let scene = Scene::new();
    let all = sentences(scene.meet(&[(0, 3, VERSION), (1, 3, VERSION), (1, 3, VERSION)], limits()));
    let address = &scene.address;
    let sentence = format!("rank 1 came to {address} twice; two runs share the port, or two processes the number");
    assert_eq!(all, vec![sentence; 3]);
}

#[test]
fn all_ranks_need_one_version() {
    let all = sentences(Scene::new().meet(&[(0, 2, VERSION), (1, 2, "1.2.4")], limits()));
    let sentence =
        "rank 1 is trishift 1.2.4 (messages 1), rank 0 is 1.2.3 (messages 1); all ranks need the same version";
    assert_eq!(all, [sentence, sentence]);
}

#[test]
fn who_does_not_come_is_named() {
    let limits = Limits { start_up: Duration::from_secs(1), ..limits() };
    let scene = Scene::new();
    let all = sentences(scene.meet(&[(0, 4, VERSION), (1, 4, VERSION)], limits));
    let sentence = format!("ranks 2 and 3 of 4 did not come to {} within 1 s", scene.address);
    assert_eq!(all, vec![sentence; 2]);

    let place = Place { rank: 1, world: 2, local_rank: 0, address: Some("127.0.0.1:1".into()) };
    let error = Group::join(&place, Limits { start_up: Duration::ZERO, ..limits }).unwrap_err().to_string();
    assert!(error.starts_with("rank 0 could not be reached at 127.0.0.1:1 within 0 s: "), "{error}");
    let taken = Place { rank: 0, address: Some(scene.address.clone()), ..place };
    let error = Group::join(&taken, limits).unwrap_err().to_string();
    assert!(error.starts_with(&format!("rank 0 cannot listen at {} (", scene.address)), "{error}");
    assert!(error.ends_with("); set MASTER_PORT to a port that is free"), "{error}");
}

#[test]
fn ends_during_the_meeting_are_noticed() {
    let scene = Scene::new();
    drop(scene.fake(2, 4));
    let error = scene.join(0, 4, VERSION, limits()).unwrap_err().to_string();
    assert_eq!(error, "rank 2 was gone before all ranks had come");
}

#[test]
fn other_programs_disturb_nobody() {
    let scene = Scene::new();
    let _silent = TcpStream::connect(&scene.address).unwrap();
    let mut browser = TcpStream::connect(&scene.address).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    drop(TcpStream::connect(&scene.address).unwrap());
    let groups = scene.meet(&[(0, 2, VERSION), (1, 2, VERSION)], limits());
    assert!(groups.iter().all(Result::is_ok));

    // What listens in rank 0's place may be no rank 0.
    let scene = Scene::new();
    thread::scope(|scope| {
        let rank = scope.spawn(|| scene.join(1, 2, VERSION, limits()));
        let (mut stream, _) = scene.listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let error = rank.join().unwrap().unwrap_err().to_string();
        assert!(error.ends_with("broke off before the run began: rank 0 has ended, or another program listens there"));
    });
}

#[test]
fn every_rank_learns_who_is_gone() {
    for gone in 0..3 {
        let mut groups: Vec<_> = group(3, limits()).into_iter().map(Some).collect();
        let faults: Vec<_> = groups.iter().flatten().map(watch).collect();
        groups[gone] = None;
        expect(&faults, gone, &Fault::Gone { rank: gone });
    }
}

#[test]
fn a_fault_before_anybody_watches_is_kept() {
    let mut groups = group(3, limits());
    drop(groups.pop());
    let fault = Fault::Gone { rank: 2 };
    assert_eq!(groups[1].broadcast(&[]).unwrap_err().to_string(), fault.to_string());
    assert_eq!(groups[0].wait_for_fault(LONG), Some(fault.clone()));
    assert_eq!(groups[0].broadcast(&[]).unwrap_err().to_string(), fault.to_string());
    let faults: Vec<_> = groups.iter().map(watch).collect();
    expect(&faults, 2, &fault);
}

#[test]
fn silence_is_noticed_on_both_sides() {
    let limits = Limits { silence: Duration::from_millis(1200), ..limits() };
    let scene = Scene::new();
    let _silent = scene.fake(2, 3);
    let groups = scene.meet(&[(0, 3, VERSION), (1, 3, VERSION)], limits);
    let faults: Vec<_> = groups.iter().flatten().map(watch).collect();
    expect(&faults, 2, &Fault::Silent { rank: 2, seconds: 1 });

    let scene = Scene::new();
    thread::scope(|scope| {
        let rank = scope.spawn(|| scene.join(1, 2, VERSION, limits).unwrap());
        let (mut silent, _) = scene.listener.accept().unwrap();
        assert_eq!(message::receive_first::<Hello>(&mut silent).unwrap().rank, 1);
        message::send_first(&mut silent, &Answer::Welcome).unwrap();
        let group = rank.join().unwrap();
        expect(&[watch(&group)], 1, &Fault::Silent { rank: 0, seconds: 1 });
    });
}

#[test]
fn a_main_thread_that_stands_still_is_named() {
    let limits = Limits { stuck: Duration::from_millis(1500), ..limits() };
    for stuck in 0..3 {
        let groups = group(3, limits);
        let faults: Vec<_> = groups.iter().map(watch).collect();
        thread::scope(|scope| {
            for group in groups.iter().filter(|group| group.rank() != stuck) {
                scope.spawn(move || {
                    while group.wait_for_fault(Duration::from_millis(10)).is_none() {
                        group.tick();
                    }
                });
            }
        });
        expect(&faults, 3, &Fault::Stuck { rank: stuck, seconds: 1 });
    }
}

#[test]
fn where_all_stand_still_nobody_is_named() {
    let beat = Duration::from_millis(300);
    let groups = group(2, Limits { beat, stuck: Duration::from_millis(1200), ..limits() });
    // Until it is watched, a main thread may take its time.
    thread::sleep(SHORT);
    let faults: Vec<_> = groups.iter().map(watch).collect();
    expect(&faults, 2, &Fault::AllStuck { seconds: 1 });
}

#[test]
fn who_leaves_is_missed_by_nobody() {
    let mut groups = group(4, limits());
    let faults: Vec<_> = groups.iter().map(watch).collect();
    groups.remove(3).leave();
    groups.remove(1).leave();
    thread::sleep(SHORT);
    groups[0].broadcast(b"to those who are left").unwrap();
    assert_eq!(groups[1].broadcast(&[]).unwrap(), b"to those who are left");
    groups.remove(0).leave();
    assert_eq!(groups[0].broadcast(&[]).unwrap_err().to_string(), "rank 0 has left the run");
    thread::sleep(SHORT);
    groups.remove(0).leave();
    assert!(faults.iter().all(|faults| faults.try_recv().is_err()));
}

#[test]
fn who_fails_says_why() {
    for failing in 0..3 {
        let mut groups = group(3, limits());
        let faults: Vec<_> = groups.iter().map(watch).collect();
        let group = groups.remove(failing);
        assert_eq!(group.fail("the disk\nis full"), None);
        drop(group);
        let fault = Fault::Failed { rank: failing, message: "the disk is full".into() };
        expect(&faults, failing, &fault);
        assert_eq!(fault.to_string(), format!("rank {failing} failed: the disk is full"));
        // The first reason is the only one.
        assert_eq!(groups[0].fail("a consequence"), Some(fault));
        assert!(faults[failing].try_recv().is_err());
    }
}

#[test]
fn bytes_that_say_nothing_are_a_fault() {
    let scene = Scene::new();
    let mut stream = scene.fake(2, 3);
    let groups = scene.meet(&[(0, 3, VERSION), (1, 3, VERSION)], limits());
    let faults: Vec<_> = groups.iter().flatten().map(watch).collect();
    stream.write_all(&message::encode(&Message::Beat { idle: Duration::ZERO }).unwrap()).unwrap();
    stream.write_all(&[255; 16]).unwrap();
    expect(&faults, 2, &Fault::Garbled { rank: 2 });
}
