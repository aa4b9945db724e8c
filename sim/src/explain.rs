//! The words of `docdb-sim explain`, but for the fault model: that one stands with the simulated disk.

/// What is judged.
pub const ORACLES: &str =
    "  Crashes only   What is recovered is exactly what the reference model holds after c transactions in the order of
                 their commits, with acknowledged <= c <= submitted; transactions whole; counts equal to recounted ones.
  Seen stays     What any reader was shown, before or after a recovery, survives the next crash.
  Answers        Each request is answered once; an answer rests on a state that was durable when it was given; an
                 outcome that is not known is answered as unknown; an error that blames the device needs a failure.
  Damage         Never a wrong answer, never silence about a lost document; everything undamaged stays readable.
  A lying disk   What is recovered is a prefix, or an explicit error.
  Progress       Once faults stop, in the process that met them and in the next, whoever waits is answered, opening ends
                 within a bounded number of operations, writes are accepted again (after a closing, where a database
                 was latched), the engine comes to rest, and a bounded number of files is left. It stops when asked to,
                 while faults go on too.
  No panic       A panic of the engine, and a breach of the disk's contract, is a violation.
";

/// From a failing seed to its cause.
pub const FAILURES: &str =
    "  1. `docdb-sim run` prints each failing seed and the one command that replays it. A replay goes the same way in
     every process, until the engine or the simulator changes.
  2. `docdb-sim shrink SEED -o small.json` leaves out what the failure does not need: a few requests and a crash remain.
  3. `docdb-sim replay small.json --tell` tells what happened, each line with its step: what clients asked, what
     the disk was given (submit), carried out (disk) and reported (told), what was answered and published, what each
     crash kept. `--until STEP` ends the tale there.
  4. `docdb-sim materialize small.json --at STEP --dir DIR` lays the files out as the crash at STEP left them, to be
     looked at, or opened by `docdbsh DIR`.
  5. Once the cause is mended, the trace moves to sim/regressions and is replayed by the tests for ever.
";
