//! Scenarios: the real binary against real servers, including `kill -9`.
//!
//! Each test has servers and directories of its own. Where a server or a tool is not installed the test says that it is
//! skipped and passes.

mod bad_input;
mod closure;
mod command;
mod faults;
mod kill;
mod site;
mod stop;
mod truth;
