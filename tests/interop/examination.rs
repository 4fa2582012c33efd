//! Examination: the doctor at each mode of each proxy names what calls meet there.

use genai_bridge::doctor::{Check, Doctor, Outcome, Step};
use genai_bridge::{BridgeBuilder, SymptomKind};
use tokio::time::{Duration, Instant};

use crate::row::End;

/// Examines, prints, and gives what is not as it should be. `ends` are those of calls over gRPC and
/// REST.
pub(crate) async fn examine(row: &str, builder: BridgeBuilder, ends: [End; 2]) -> Vec<String> {
    let began = Instant::now();
    let report = Doctor::new(builder).examine().await;
    let took = began.elapsed();
    let cause = report.cause().map(|check| (check.step(), kind_of(check)));
    println!("| {row} | doctor | {:?} | {cause:?} | {} ms |", report.diagnosis(), took.as_millis());
    let mut faults = Vec::new();
    let named: Vec<SymptomKind> = report.checks().iter().filter_map(kind_of).collect();
    let limits_size =
        report.check(Step::Size).is_some_and(|check| check.outcome() == Outcome::Failed);
    for (step, end) in [Step::Grpc, Step::Rest].into_iter().zip(ends) {
        let works = report.check(step).expect("each step").outcome() == Outcome::Ok;
        let agrees = match end {
            End::Answer(_) => works,
            // The free call is too small for a limit on requests; a larger one finds it.
            End::Broken(kind) => named.contains(&kind) && !works || limits_size,
            // A forged status, or a deadline, shows as another failure of the free call.
            End::Said(_) => !works || report.cause().is_some(),
        };
        if !agrees {
            faults.push(format!("{row}, doctor: {end:?} at {step:?}\n{}", report.to_text(false)));
        }
    }
    if took > Duration::from_secs(15) {
        faults.push(format!("{row}, doctor: took {took:?}"));
    }
    faults
}

fn kind_of(check: &Check) -> Option<SymptomKind> {
    check.symptom().map(genai_bridge::Symptom::kind)
}
