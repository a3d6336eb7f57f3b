//! `trishift man`: the help of every command as manual pages.

use super::output::{self, say};
use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;
use std::path::{Path, PathBuf};
use trishift_trainer::file;

/// Options of `man`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift man | man -l -                              # the page of the command itself
  trishift man --out ~/.local/share/man/man1           # from then on: man trishift-train")]
pub(super) struct Arguments {
    /// Write the pages of all commands into this folder, which is made.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Replace pages that are there.
    #[arg(long, requires = "out")]
    overwrite: bool,
}

pub(super) fn run(arguments: &Arguments, command: Command) -> anyhow::Result<()> {
    // Commands inside commands are listed in their page, and have no `help` of their own.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &arguments.out else {
        return output::bytes(&page(&command)?.contents).context("cannot write the page to standard output");
    };
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    let occupied = pages.iter().map(|page| folder.join(&page.name)).find(|path| path.exists());
    if let Some(path) = occupied.filter(|_| !arguments.overwrite) {
        anyhow::bail!("{} exists; replace it with --overwrite", path.display());
    }
    write(folder, &pages)?;
    say!("{} pages in {}", pages.len(), folder.display());
    Ok(())
}

/// A manual page and the name of its file.
struct Page {
    name: String,
    contents: Vec<u8>,
}

fn page(command: &Command) -> anyhow::Result<Page> {
    let man = Man::new(command.clone());
    let mut contents = Vec::new();
    man.render(&mut contents)?;
    Ok(Page { name: man.get_filename(), contents })
}

/// The pages of a command and of those inside it.
fn collect(command: &Command, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    pages.push(page(command)?);
    command.get_subcommands().try_for_each(|command| collect(command, pages))
}

fn write(folder: &Path, pages: &[Page]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for page in pages {
        let path = folder.join(&page.name);
        file::write_atomically(&path, &page.contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
