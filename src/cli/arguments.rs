//! Arguments: reads the command line. An empty variable counts as not set, and an error about a
//! variable's value names the variable.

use std::env;
use std::process;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, CommandFactory, Error, FromArgMatches};

/// The arguments of this process. Ends the process with a text for the person if there are none.
pub(super) fn read<A: CommandFactory + FromArgMatches>() -> A {
    let command = with_variables(A::command());
    let read = command.clone().try_get_matches();
    let read = read.and_then(|matches| A::from_arg_matches(&matches));
    read.unwrap_or_else(|error| {
        let error = name_variable(error, &command);
        // A terminal that has gone reads nothing.
        let _ = error.print();
        process::exit(error.exit_code())
    })
}

fn with_variables(command: Command) -> Command {
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let names: Vec<_> = names.collect();
    let read = |command: Command| command.mut_args(without_empty_variable);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, read))
}

/// A negative number is a bad value of its option, not an option that nobody knows.
fn without_empty_variable(argument: Arg) -> Arg {
    let argument = if argument.get_action().takes_values() {
        argument.allow_negative_numbers(true)
    } else {
        argument
    };
    let is_empty = |value: &std::ffi::OsString| value.is_empty();
    match argument.get_env().and_then(env::var_os).filter(is_empty) {
        Some(_) => argument.env(None::<&'static str>),
        None => argument,
    }
}

/// clap names the option alone, also where a variable gave the value.
fn name_variable(mut error: Error, command: &Command) -> Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    // Only a command that is built can show its arguments.
    let mut command = command.clone();
    command.build();
    let mut arguments = command.get_subcommands().flat_map(Command::get_arguments);
    let found = arguments.find(|argument| argument.to_string() == *shown);
    let Some(variable) = found.and_then(given_by_variable) else { return error };
    let tip = format!("the value is that of the environment variable {variable}");
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// The variable that gives the value, unless the command line does.
fn given_by_variable(argument: &Arg) -> Option<String> {
    let option = format!("--{}", argument.get_long()?);
    let names = |given: String| given == option || given.starts_with(&format!("{option}="));
    let given = env::args_os().any(|given| names(given.to_string_lossy().into_owned()));
    let variable = argument.get_env().filter(|variable| !given && env::var_os(variable).is_some());
    variable.map(|variable| variable.to_string_lossy().into_owned())
}
