//! `trace`: shows the lines of one account's sessions, masked, for a limited time.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::{Reply, Request, TraceRow, ask};
use crate::surface::times;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The account's name, or an alias
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// How long: 30s, 5m, 1h at most
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: u64,
}

fn time(text: &str) -> Result<u64, String> {
    let seconds = times::span(text).and_then(|span| u64::try_from(span.whole_seconds()).ok());
    let seconds = seconds.filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "it is a number and its unit, such as 30s or 5m, and 1h at most".to_owned())
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let Arguments { account, time } = arguments;
    let request = Request::Trace { account: account.clone(), seconds: time };
    let (mut failure, mut began, mut is_gone) = (None, false, false);
    let state_directory = options.state_directory()?;
    let cut = ask::follow_all(&state_directory, &request, |reply| match reply {
        Reply::Tracing {} if std::mem::replace(&mut began, true) => {}
        Reply::Tracing {} => print::words(&format!("The sessions of {account} are traced; Ctrl-C ends it.")),
        Reply::Traced(row) => line(&row),
        Reply::Lost(lost) => print::words(&format!("{lost} lines were lost: they were read too slowly.")),
        Reply::AccountGone {} => is_gone = true,
        Reply::Failed(why) => failure = Some(why),
        _ => {}
    });
    let cut = cut.await?;
    match failure {
        Some(why) => return Err(Failure::new(why)),
        None if is_gone => print::words(&format!("The account {account} is gone, and the trace has ended.")),
        None if cut > 0 => print::words("A running serve has ended, and its trace with it."),
        None => print::words("The trace has ended."),
    }
    Ok(Done::Well)
}

fn line(row: &TraceRow) {
    let TraceRow { at, session, protocol, way, text } = row;
    print::data(&format!("{at} {session} {protocol} {way} {text}"));
}
