//! `trishift completions`: the words of every command, for the shell to complete.

use super::output;
use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Args)]
#[command(after_help = "\
Examples, each for the shells that start from then on:
  trishift completions bash > ~/.local/share/bash-completion/completions/trishift
  trishift completions fish > ~/.config/fish/completions/trishift.fish
  trishift completions zsh > ~/.zfunc/_trishift    # where ~/.zshrc has fpath+=~/.zfunc before compinit")]
pub(super) struct Arguments {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "trishift", &mut script);
    output::bytes(&script).context("cannot write the completions to standard output")
}
