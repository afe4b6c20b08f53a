//! Looking again and again, as `--watch` does.

use std::time::Duration;

use super::context::Context;
use super::exit::{Failure, Outcome};
use super::rpc;

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Looks until Ctrl-C. `look` prints; on a terminal each look has the screen for itself.
///
/// A gateway that goes away is waited for, whatever it says on its way: watching it come back is what this is for.
pub fn again(every: Duration, context: &Context, mut look: impl FnMut() -> Result<(), Failure>) -> Outcome {
    let mut seen = false;
    loop {
        if context.output.stdout_tty && !context.json {
            context.output.line(CLEAR)?;
        }
        match look() {
            Ok(()) => seen = true,
            Err(failure) if failure.reader_gone => return Err(failure),
            Err(failure) if seen || failure.kind == rpc::TRANSPORT => context.output.note(failure.message()),
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(every);
    }
}
