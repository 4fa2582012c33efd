//! Named: each world in which a fault of the bridge was found, made small, with one line on what it
//! was.
//!
//! They are written out: the world that a seed draws changes whenever something new can be drawn.

use std::time::Duration;

use genai_bridge::emulator::Fault;
use genai_bridge::{ResendPolicy, Transport};
use tonic::Code;

use crate::weather::Conditions;
use crate::world::{Answer, Call, Event, Options, Service, Shape, What, World};

pub(crate) fn named() -> Vec<(&'static str, World)> {
    vec![
        (
            "two calls at once were failed by a gateway, and no third one came for a day: the suspicion lasted, and sent \
         the calls of a healed network over REST",
            World {
                proxies: vec![Fault::UnroutedUnimplemented],
                calls: vec![unary(0, 42), unary(1, 95)],
                ..plain()
            },
        ),
        (
            "calls came ten minutes apart through a gateway that routes none of them: each suspicion lapsed before the next \
         call, so that every one failed",
            World {
                proxies: vec![Fault::UnroutedUnimplemented],
                calls: (0..12).map(|number| unary(number, number as u64 * 600_000)).collect(),
                ..plain()
            },
        ),
        (
            "a proxy refused the login of the probe that a call waited for: the call failed by that, and no counter said so",
            World {
                proxies: vec![Fault::ConnectLoginRequired],
                calls: vec![unary(0, 42)],
                ..plain()
            },
        ),
        (
            "the call that tried gRPC anew for its method was refused its login: its second attempt went over REST, \
             and no other call tried gRPC again",
            World {
                proxies: vec![Fault::UnroutedUnimplemented],
                service: Service { token_life: Some(Duration::from_secs(1)), ..Service::default() },
                calls: vec![unary(0, 42), unary(1, 95), unary(2, 400)],
                ..plain()
            },
        ),
        (
            "a service wrote a message and then an error for a unary call: the call was counted as a good one",
            World {
                calls: vec![Call {
                    answer: Answer { error: Some(Code::Internal), ..unary(0, 42).answer },
                    ..unary(0, 42)
                }],
                ..plain()
            },
        ),
        (
            "a client had ended its stream before the answer began: reading the answer panicked",
            World { calls: vec![bidi(0, 42)], ..plain() },
        ),
    ]
}

/// A good network, and no calls.
fn plain() -> World {
    let conditions = Conditions { latency: Duration::from_millis(7), rate: None };
    World {
        seed: 0,
        proxies: Vec::new(),
        options: Options {
            transport: Transport::Auto,
            resend: ResendPolicy::default(),
            attempts: 1,
            head_start: Duration::from_millis(300),
            silence_limit: Duration::from_secs(3),
            stream_idle_limit: Duration::from_secs(300),
            rest_connections: 64,
            max_metadata_size: 4 * 1024 * 1024,
        },
        service: Service::default(),
        events: vec![Event { at: Duration::ZERO, what: What::Conditions(conditions) }],
        breaks: Vec::new(),
        calls: Vec::new(),
    }
}

fn bidi(number: usize, at: u64) -> Call {
    let call = unary(number, at);
    let timeout = Some(Duration::from_secs(60));
    let answer = Answer { thought: Duration::from_millis(500), messages: 3, ..call.answer };
    Call { shape: Shape::Bidi, timeout, answer, ..call }
}

fn unary(number: usize, at: u64) -> Call {
    Call {
        number,
        at: Duration::from_millis(at),
        shape: Shape::Unary,
        size: 10,
        timeout: None,
        patience: None,
        reading: Duration::ZERO,
        transport: None,
        resend: None,
        answer: Answer {
            thought: Duration::ZERO,
            messages: 1,
            size: 10,
            pause: Duration::ZERO,
            error: None,
            refused: 0,
            asks: None,
            is_endless: false,
        },
    }
}
