//! Keeper and shims. All of it is in the library.

fn main() {
    std::process::exit(core_shim::main());
}
