//! What the command gives a shell: completions and manual pages, of every command that its help lists.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use support::{output, snapshot, trishift, words, write};

/// The commands in the help of `trishift` or of one of its commands.
fn listed(line: &str) -> BTreeSet<String> {
    let help = output(&std::env::temp_dir(), &format!("{line} --help"));
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    let list = list.lines().take_while(|line| !line.is_empty());
    // What goes on from the line before stands further in.
    let names = list.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help");
    names.map(String::from).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let script = output(&std::env::temp_dir(), "completions bash");
    let ask = r#"
COMP_CWORD=1 COMP_WORDS=(trishift "") && _trishift trishift "" trishift && echo "${COMPREPLY[*]}"
COMP_CWORD=2 COMP_WORDS=(trishift train --corr) && _trishift trishift --corr train && echo "${COMPREPLY[*]}"
"#;
    let mut bash = Command::new("bash");
    let bash = bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut bash = bash.spawn().expect("bash");
    bash.stdin.take().expect("its input").write_all([&script, ask].concat().as_bytes()).expect("a script");
    let answer = bash.wait_with_output().expect("an answer");
    let answer = String::from_utf8(answer.stdout).expect("text");
    let [commands, options] = answer.lines().collect::<Vec<_>>()[..] else { panic!("{answer}") };
    let completed: BTreeSet<_> = commands.split(' ').map(String::from).collect();
    assert!(listed("").is_subset(&completed) && completed.contains("train"), "{commands}");
    assert_eq!(options, "--correlation-strength");
}

#[test]
fn every_shell_learns_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = output(folder.path(), &format!("completions {shell}"));
        for command in listed("") {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
    let refused = trishift(folder.path(), words("completions csh")).assert().code(2);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{message}");
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "man --out share/man1");
    let pages = snapshot(&path.join("share/man1"));
    let names: BTreeSet<_> = pages.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_string()).collect();
    let of = |prefix: &str, line| listed(line).into_iter().map(|name| format!("trishift-{prefix}{name}.1")).collect();
    let expected: [BTreeSet<String>; 3] = [["trishift.1".to_string()].into(), of("", ""), of("bench-", "bench")];
    assert_eq!(names, expected.into_iter().flatten().collect());

    assert_eq!(output(path, "man").into_bytes(), pages[&path.join("share/man1/trishift.1")]);
    let page = String::from_utf8(pages[&path.join("share/man1/trishift-train.1")].clone()).unwrap();
    let help = output(path, "train --help");
    let options =
        help.lines().filter_map(|line| line.trim_start().split([' ', ',', '.']).find(|word| word.starts_with("--")));
    let options: BTreeSet<_> = options.collect();
    assert!(options.len() > 20, "{options:?}");
    for option in options {
        assert!(page.contains(&option.replace('-', "\\-")), "{option} is not in the page");
    }
    // An example stays on a line of its own.
    assert!(page.contains("\n  trishift train \\-\\-resume runs/mnist\n"), "{page}");
}

#[test]
fn pages_that_are_there_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "man1/trishift-eval.1", "mine");
    let before = snapshot(path);
    let refused = trishift(path, words("man --out man1")).assert().code(2);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert_eq!(message, "error: man1/trishift-eval.1 exists; replace it with --overwrite\n");
    assert!(snapshot(path) == before);
    output(path, "man --out man1 --overwrite");
    assert!(std::fs::read_to_string(path.join("man1/trishift-eval.1")).unwrap().contains(".TH trishift-eval 1"));

    write(path, "file", "");
    let refused = trishift(path, words("man --out file/man1")).assert().code(2);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.starts_with("error: cannot make the folder file/man1: ") && message.lines().count() == 1);
}
