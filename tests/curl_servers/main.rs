//! curl's server scripts (`tests/data` of its source), replayed from a dumb server over real sockets.

mod command;
mod replay;
mod script;
mod server;
mod verdict;

use command::Plan;
use replay::replay;
use script::Script;
use server::Pieces;
use std::collections::BTreeMap;
use verdict::{Verdict, compare};

#[test]
fn replies_are_read_as_curl_reads_them() {
    let Some(folder) = script::folder() else {
        return;
    };
    let (mut plans, mut not) = (Vec::new(), BTreeMap::<&str, Vec<u32>>::new());
    for number in script::numbers(&folder) {
        let script = Script::load(&folder, number, 8_990).expect("a test file");
        if !script.is_http() {
            continue;
        }
        match Plan::of(&script, 8_990) {
            Ok(plan) => plans.push((number, script, plan)),
            Err(reason) => not.entry(reason).or_default().push(number),
        }
    }
    let tests: Vec<u32> = plans.iter().map(|p| p.0).collect();
    let transcripts = replay(&folder, &tests, |_| Pieces::Whole);
    let (mut same, mut bytes, mut differs) = (0, 0, 0);
    for (number, _, _) in &plans {
        // Ports stand in replies.
        let port = 8_990;
        let script = Script::load(&folder, *number, port).expect("a test file");
        let plan = Plan::of(&script, port).expect("as above");
        match compare(&script, &plan, &transcripts[number]) {
            Verdict::Same { bytes: b } => {
                same += 1;
                bytes += usize::from(b);
            }
            Verdict::Differs(how) => {
                differs += 1;
                println!("{number}: {how}");
            }
        }
    }
    println!("same {same} ({bytes} with bytes), differs {differs}");
    for (reason, tests) in &not {
        println!("{}: {reason}", tests.len());
    }
}
