//! The program of keeper and shims. All its code is in the library `core-shim`.

fn main() {
    std::process::exit(core_shim::main());
}
