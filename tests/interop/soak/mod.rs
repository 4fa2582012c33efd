//! Soak: two hundred callers, over the library and over the sidecar, behind a proxy that changes
//! its mind every ten seconds. Nothing is lost or doubled, and nothing grows.
//!
//! Some seconds, unless `GENAI_BRIDGE_SOAK` says how many: 3600 by hand.
//!
//! Service and proxy are in this process, the callers with the library in another one, and the
//! sidecar in a third: what is measured is theirs alone.

mod callers;
mod process;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use genai_bridge::emulator::{Authority, Emulator, Fault, HostileProxy, Reply};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use crate::serving::Serving;
use callers::{Callers, Ended, answers, number_in};
use process::{Process, Sample};

/// What the proxy does, one after the other; between two of them it lets everything pass.
const MOODS: &[Fault] = &[
    Fault::TrailersStripped,
    Fault::ConnectUnavailable,
    Fault::StreamResetInternalError,
    Fault::ClosedAfterMessage,
    Fault::PrefaceSwallowed,
    Fault::EverySecondCall,
    Fault::GoAwayAfterStreams,
    Fault::ConnectSilence,
    Fault::InspectHttp1,
    Fault::AnswerTruncated,
    Fault::StreamRefused,
    Fault::GatewayDown,
    Fault::AnswerSwallowed,
    Fault::TunnelIdleSilence,
    Fault::ForgedUnavailable,
    Fault::ResetAfterHead,
    Fault::Page502,
    Fault::UnroutedUnimplemented,
    Fault::AnswerBuffered,
    Fault::GoAwayOverRequest,
];

/// How often the service took each call up.
type Taken = Arc<Mutex<HashMap<u64, u32>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time"]
async fn nothing_is_lost_or_grows_behind_a_proxy_that_changes_its_mind() {
    let seconds = std::env::var("GENAI_BRIDGE_SOAK").ok().and_then(|text| text.parse().ok());
    let (seconds, mood) = seconds.map_or((12, 1), |seconds: u64| (seconds, 10));
    let authority = Authority::new("Soak");
    let emulator = Emulator::builder().authority(authority.clone()).start().await;
    let emulator = emulator.expect("an emulator");
    let taken = begin_service(&emulator);
    let proxy = HostileProxy::builder().authority(authority.clone()).start(Fault::Pass).await;
    let proxy = proxy.expect("a proxy");
    let endpoint = emulator.endpoint();
    let options = ["--proxy", &proxy.url(), "--rest-connections", "64"];
    let serving = Serving::before(&endpoint, authority.pem(), &options).await;
    let callers = Callers::start(&endpoint, &proxy.url(), authority.pem(), &serving, seconds);
    let watched =
        [Process::new("callers and library", callers.id()), Process::new("sidecar", serving.id())];
    let samples = change_moods(&proxy, Duration::from_secs(mood), seconds, &watched).await;
    let ended = callers.join();
    judge(&taken.lock().expect("no panic"), &ended);
    for (process, samples) in watched.iter().zip(&samples) {
        process.judge(samples);
    }
    assert_eq!(serving.stop(), Some(0));
}

fn begin_service(emulator: &Emulator) -> Taken {
    let taken = Taken::default();
    let account = Arc::clone(&taken);
    emulator.answer_with(move |method, message| {
        let number = number_in(method, message)?;
        *account.lock().expect("no panic").entry(number).or_default() += 1;
        let answers = answers(method, number);
        Some(Reply::messages(answers).pause(Duration::from_millis(200)))
    });
    taken
}

/// Until the time is over; gives what was seen of each process meanwhile, ten times a mood.
async fn change_moods(
    proxy: &HostileProxy,
    mood: Duration,
    seconds: u64,
    watched: &[Process; 2],
) -> [Vec<Sample>; 2] {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut samples = [Vec::new(), Vec::new()];
    let mut ticks = interval(mood / 10);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0.. {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        if tick % 10 == 0 {
            let place = tick / 10;
            let fault = if place % 2 == 0 { Fault::Pass } else { MOODS[place / 2 % MOODS.len()] };
            // Some changes are sudden, and some hit new connections alone.
            if place % 3 == 0 { proxy.set_and_cut(fault) } else { proxy.set(fault) }
        }
        for (process, samples) in watched.iter().zip(&mut samples) {
            samples.push(process.sample());
        }
    }
    proxy.set_and_cut(Fault::Pass);
    samples
}

fn judge(taken: &HashMap<u64, u32>, ended: &[Ended]) {
    let times = |number: &u64| taken.get(number).copied().unwrap_or_default();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, outcome) in ended {
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{} calls", ended.len());
    for (outcome, count) in &outcomes {
        println!("{count:>9} {outcome}");
    }
    let is_done = |outcome: &str| outcome.starts_with("done");
    let done = ended.iter().filter(|(_, outcome)| is_done(outcome)).count();
    let lost = ended.iter().filter(|(number, outcome)| is_done(outcome) && times(number) == 0);
    let (lost, doubled) = (lost.count(), ended.iter().filter(|it| times(&it.0) > 1).count());
    let wrong = ended.iter().filter(|(_, outcome)| outcome.starts_with("wrong")).count();
    println!("{done} done, {lost} lost, {doubled} doubled, {wrong} with wrong messages");
    assert_eq!((lost, doubled, wrong), (0, 0, 0));
    assert!(done * 2 > ended.len(), "most of the time the network is good");
}
