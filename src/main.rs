//! The `cyclosa` program: allocator and exit code; everything else is in [`cyclosa::cli`].

/// Pages are allocated on one thread and grown on another; mimalloc keeps that cheap and its memory from scattering.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cyclosa::cli::main()
}
