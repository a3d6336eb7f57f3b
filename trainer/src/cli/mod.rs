//! The command line. One file per command; each gives a result to print or an error of one sentence.
//!
//! Exit codes: 0 done, 2 refused or failed (one line on standard error says why), 130 interrupted with a checkpoint left.

mod bench;
mod completions;
mod confusion;
mod curves;
mod diff;
mod drawing;
mod eval;
mod export;
mod generate;
mod http;
mod inspect;
mod listen;
mod man;
mod output;
mod progress;
mod quickstart;
mod report;
mod serve;
mod settings;
mod together;
mod train;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Train neural networks with ternary weights and run them on small machines.
#[derive(Parser)]
#[command(name = "trishift", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Begin with `trishift quickstart`: it needs no data and takes seconds.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to use; all cores by default, one in bench cpu.
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// More log lines on standard error (-v, -vv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Train, export and run a network on built-in data: the whole path in seconds.
    Quickstart(quickstart::Arguments),
    /// Train a network, export it and judge the file on the test samples.
    Train(Box<train::Arguments>),
    /// Run a model file on a data set.
    Eval(eval::Arguments),
    /// Generate text with a byte-level model.
    Generate(generate::Arguments),
    /// Make a model file from a run's checkpoint, or from a preset with random weights.
    Export(Box<export::Arguments>),
    /// Say what a device would hear in a recording, and draw it.
    Listen(listen::Arguments),
    /// Show a run as a page: curves, confusions, weights, memory, cost.
    Report(report::Arguments),
    /// Show a model at work on a page in the browser.
    Serve(serve::Arguments),
    /// Show what a model file holds.
    Inspect(inspect::Arguments),
    /// Show what changed between two model files.
    Diff(diff::Arguments),
    /// Measure this machine.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print what a shell needs to complete this command's words.
    Completions(completions::Arguments),
    /// Print this command's manual page, or write those of all commands.
    Man(man::Arguments),
}

/// Exit code of a refused or failed command.
const FAILED: u8 = 2;

/// Exit code of an interrupted command: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// How a command ended, where it has nothing more to say.
enum Ending {
    Done,
    Interrupted,
    /// Processes that it started failed, with this exit code, and have said why.
    Failed(u8),
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    output::start_logging(cli.verbose);
    match dispatch(cli) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Ok(Ending::Failed(code)) => ExitCode::from(code),
        Err(error) => {
            output::error(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Ending> {
    let threads = threads(cli.threads)?;
    match cli.command {
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments).map(|()| Ending::Done),
        Command::Export(arguments) => export::run(&arguments).map(|()| Ending::Done),
        Command::Generate(arguments) => generate::run(&arguments).map(|()| Ending::Done),
        Command::Listen(arguments) => listen::run(&arguments).map(|()| Ending::Done),
        Command::Report(arguments) => report::run(&arguments).map(|()| Ending::Done),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments).map(|()| Ending::Done),
        Command::Diff(arguments) => diff::run(&arguments).map(|()| Ending::Done),
        Command::Bench(bench) => bench::run(&bench, threads).map(|()| Ending::Done),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()).map(|()| Ending::Done),
        Command::Man(arguments) => man::run(&arguments, Cli::command()).map(|()| Ending::Done),
    }
}

/// Most threads that make sense to ask for.
const MAX_THREADS: usize = 1024;

/// Starts the thread pool; returns the number that was asked for.
fn threads(asked: Option<usize>) -> anyhow::Result<Option<usize>> {
    let Some((name, threads)) = settings::threads(asked)? else { return Ok(None) };
    anyhow::ensure!((1..=MAX_THREADS).contains(&threads), "{name} is {threads}; 1 to {MAX_THREADS} are accepted");
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    Ok(Some(threads))
}
