//! The whole application on recordings: what it decides, shows, and does when the bus fails.

use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as PinTransaction};
use embedded_hal_mock::eh1::i2c::{Mock as Bus, Transaction as BusTransaction};
use embedded_hal_mock::eh1::pwm::{Mock as Pwm, Transaction as PwmTransaction};
use firmware::Classifier;
use recordings::{Motion, Replay, ReplayError, SCENES};
use sensor::{Accelerometer, AccelerometerError, Application, CLASSES, Indicator, NoDimmer, SensorError, Step};
use trishift::{Arena, Model};

const ADDRESS: u8 = 0x19;

fn model() -> Vec<u8> {
    std::fs::read("../models/motion.tsm").expect("the model is checked in")
}

#[test]
fn the_model_knows_the_motions() {
    let file = model();
    let labels: Vec<_> = Model::parse(&file).unwrap().labels().collect();
    assert_eq!(labels, Motion::ALL.map(Motion::name));
}

#[test]
fn decisions_follow_the_scenes_and_are_shown() {
    let expected = SCENES.map(|scene| scene.motion as usize);
    let light = |class| if class == Motion::Still as usize { State::Low } else { State::High };
    let mut pin = Pin::new(&expected.map(|class| PinTransaction::set(light(class))));
    let duty = |class| [PwmTransaction::max_duty_cycle(100), PwmTransaction::set_duty_cycle(class as u16 * 50)];
    let mut pwm = Pwm::new(&expected.map(duty).concat());

    let file = model();
    let mut arena = Arena::<160>::new();
    let classifier = Classifier::new(&file, arena.bytes()).unwrap();
    let accelerometer = Accelerometer::new(Replay::new(ADDRESS, &SCENES), ADDRESS).unwrap();
    let indicator = Indicator::new(&mut pin, &mut pwm, Motion::Still as usize, CLASSES);
    let mut application = Application::new(accelerometer, classifier, indicator);
    let (mut decisions, mut windows) = (Vec::new(), 0);
    let end = loop {
        match application.step() {
            Ok(Step::Waited | Step::Sampled) => {}
            Ok(Step::Classified(_)) => windows += 1,
            Ok(Step::Decided(class)) => {
                windows += 1;
                decisions.push(class);
            }
            Err(error) => break error,
        }
    };
    assert_eq!(end, SensorError::Accelerometer(AccelerometerError::Bus(ReplayError::Finished)));
    assert_eq!(decisions, expected);
    // 1,400 samples: the first window ends at the 25th, the others ten samples apart.
    assert_eq!(windows, 138);
    pin.done();
    pwm.done();
}

#[test]
fn a_bus_that_fails_is_an_error_and_not_the_end() {
    use embedded_hal::i2c::ErrorKind;
    let sample = || BusTransaction::write_read(ADDRESS, vec![0xA7], vec![0x0F, 0, 0, 0, 0, 0, 0x20]);
    let mut bus = Bus::new(&[
        BusTransaction::write_read(ADDRESS, vec![0x0F], vec![0x33]),
        BusTransaction::write(ADDRESS, vec![0x20, 0x57]),
        BusTransaction::write(ADDRESS, vec![0x23, 0x98]),
        sample(),
        sample().with_error(ErrorKind::Bus),
        sample(),
    ]);
    let file = model();
    let mut arena = Arena::<160>::new();
    let classifier = Classifier::new(&file, arena.bytes()).unwrap();
    let accelerometer = Accelerometer::new(&mut bus, ADDRESS).unwrap();
    let mut pin = Pin::new(&[]);
    let indicator = Indicator::new(&mut pin, NoDimmer, Motion::Still as usize, CLASSES);
    let mut application = Application::new(accelerometer, classifier, indicator);
    assert_eq!(application.step(), Ok(Step::Sampled));
    assert_eq!(application.step(), Err(SensorError::Accelerometer(AccelerometerError::Bus(ErrorKind::Bus))));
    assert_eq!(application.step(), Ok(Step::Sampled));
    drop(application);
    pin.done();
    bus.done();
}
