//! The sensor application on an emulated board: recordings come through the registers of an emulated accelerometer, the
//! decisions go to a pin and a dimmer that remember what they were told.
//!
//! The verdict is a line of JSON and the exit code: 0 only if decisions and indicator are those of the recordings. The
//! instructions are those of the step that took the most: reading a sample, a window, inference, the decision.
#![no_std]
#![no_main]

mod indicator;

use emulated_board::{Counter, Stack, exit};
use firmware::Classifier;
use indicator::{Dimmer, Light};
use recordings::{Motion, Replay, ReplayError, SCENES};
use semihosting::{eprintln, println, process};
use sensor::{Accelerometer, AccelerometerError, Application, CLASSES, Indicator, SensorError, Step};
use static_cell::ConstStaticCell;
use trishift::{Arena, arena_len_of_file};

static MODEL: &[u8] = include_bytes!("../../models/motion.tsm");

const ARENA_BYTES: usize = match arena_len_of_file(MODEL, 1) {
    Some(bytes) => bytes,
    None => panic!("motion.tsm is not a model"),
};
static ARENA: ConstStaticCell<Arena<ARENA_BYTES>> = ConstStaticCell::new(Arena::new());

/// The emulated sensor's.
const ADDRESS: u8 = 0x18;

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    process::exit(match judge() {
        Ok(0) => exit::SUCCESS,
        Ok(_) => exit::FAILURE,
        Err(sentence) => {
            eprintln!("{sentence}");
            exit::FAILURE
        }
    })
}

/// Plays all scenes and returns the number of decisions that differ from them.
fn judge() -> Result<usize, &'static str> {
    let mut counter = Counter::new().map_err(|_| "instructions cannot be counted")?;
    let classifier = Classifier::new(MODEL, ARENA.take().bytes()).map_err(|refusal| refusal.sentence())?;
    let macs = classifier.model().macs();
    let accelerometer =
        Accelerometer::new(Replay::new(ADDRESS, &SCENES), ADDRESS).map_err(|_| "there is no accelerometer")?;
    let indicator = Indicator::new(Light::default(), Dimmer::default(), Motion::Still as usize, CLASSES);
    let mut application = Application::new(accelerometer, classifier, indicator);

    let (mut instructions, mut windows, mut decisions, mut mismatches) = (0, 0u32, 0, 0);
    Stack::paint();
    loop {
        let (counted, step) = counter.count(|| application.step()).map_err(|_| "a step cannot be counted")?;
        let class = match step {
            Ok(Step::Waited | Step::Sampled) => continue,
            Ok(Step::Classified(_)) => None,
            Ok(Step::Decided(class)) => Some(class),
            Err(SensorError::Accelerometer(AccelerometerError::Bus(ReplayError::Finished))) => break,
            Err(_) => return Err("a step failed"),
        };
        instructions = counted.max(instructions);
        windows += 1;
        if let Some(class) = class {
            let expected = SCENES.get(decisions).map(|scene| scene.motion as usize);
            if expected != Some(class) {
                eprintln!("decision {decisions} is class {class} instead of {expected:?}");
                mismatches += 1;
            }
            decisions += 1;
        }
    }
    let stack = Stack::measure().high_water;
    mismatches += SCENES.len().abs_diff(decisions);
    let (_, light, dimmer) = application.release();
    // The last scene is still; every other one before it lit the light.
    let lit = SCENES.iter().filter(|scene| scene.motion != Motion::Still).count();
    let last = SCENES.last().map_or(0, |scene| scene.motion as u16);
    mismatches += usize::from(light.is_on || light.lit != lit) + usize::from(dimmer.duty != last);
    println!(
        "{{\"board\":\"{}\",\"kernel\":\"sensor_step\",\"instructions\":{instructions},\"macs\":{macs},\
         \"instructions_per_mac\":{}.{:02},\"mismatches\":{mismatches},\"samples\":{windows},\"decisions\":{decisions},\
         \"stack_bytes\":{stack}}}",
        emulated_board::NAME,
        u64::from(instructions) / macs,
        u64::from(instructions) % macs * 100 / macs,
    );
    Ok(mismatches)
}
