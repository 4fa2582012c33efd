//! Shrink: a failing world is made smaller, as long as it still fails in the same way.

use std::time::Duration;

use crate::model::violations;
use crate::run::run;
use crate::world::World;

/// The smallest world found that still breaks the same promise, and how it does so.
pub(crate) fn shrink(world: &World, broken: &[String]) -> (World, Vec<String>) {
    let promise = kind_of(&broken[0]);
    let (mut smallest, mut told) = (world.clone(), broken.to_vec());
    let mut left = MOST_RUNS;
    loop {
        let mut has_shrunk = false;
        for smaller in candidates(&smallest) {
            if left == 0 {
                return (smallest, told);
            }
            left -= 1;
            let found = violations(&smaller, &run(&smaller));
            if found.iter().any(|found| kind_of(found) == promise) {
                (smallest, told, has_shrunk) = (smaller, found, true);
                break;
            }
        }
        if !has_shrunk {
            return (smallest, told);
        }
    }
}

const MOST_RUNS: usize = 400;

/// The promise, without its numbers.
fn kind_of(violation: &str) -> String {
    let words = violation.split_once(": ").filter(|(call, _)| call.starts_with("call "));
    let text = words.map_or(violation, |(_, text)| text);
    text.chars().filter(|c| !c.is_ascii_digit()).take(24).collect()
}

/// Worlds with less in them: half of a list gone, one of it, or one thing simpler.
fn candidates(world: &World) -> Vec<World> {
    let mut smaller = Vec::new();
    let mut add = |change: &dyn Fn(&mut World)| {
        let mut candidate = world.clone();
        change(&mut candidate);
        smaller.push(candidate);
    };
    for (from, to) in parts(world.calls.len()) {
        if to - from < world.calls.len() {
            add(&|world| drop(world.calls.drain(from..to)));
        }
    }
    for (from, to) in parts(world.events.len()) {
        add(&|world| drop(world.events.drain(from..to)));
    }
    for (from, to) in parts(world.breaks.len()) {
        add(&|world| drop(world.breaks.drain(from..to)));
    }
    if world.proxies.len() > 1 {
        add(&|world| world.proxies.truncate(1));
    }
    let service = world.service;
    if service.max_streams.is_some() {
        add(&|world| world.service.max_streams = None);
    }
    if service.window.is_some() {
        add(&|world| world.service.window = None);
    }
    if service.connection_age.is_some() {
        add(&|world| world.service.connection_age = None);
    }
    if service.token_life.is_some() {
        add(&|world| world.service.token_life = None);
    }
    for place in 0..world.calls.len().min(4) {
        let call = world.calls[place];
        if !call.reading.is_zero() {
            add(&|world| world.calls[place].reading = Duration::ZERO);
        }
        if call.answer.messages > 1 {
            add(&|world| world.calls[place].answer.messages = 1);
        }
        if call.size > 10 {
            add(&|world| world.calls[place].size = 10);
        }
        if call.answer.size > 10 {
            add(&|world| world.calls[place].answer.size = 10);
        }
        if !call.answer.thought.is_zero() {
            add(&|world| world.calls[place].answer.thought = Duration::ZERO);
        }
    }
    smaller
}

/// Halves, quarters, and single places of a list.
fn parts(length: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut size = length;
    while size > 0 {
        parts.extend((0..length).step_by(size).map(|from| (from, (from + size).min(length))));
        size /= 2;
    }
    parts
}
