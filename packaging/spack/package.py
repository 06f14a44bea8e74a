# A recipe for Spack: copy this folder to `packages/mpisync` of a package repository.
from spack.package import *


class Mpisync(Package):
    """The programs of mpisync, a Rust library for MPI programs whose ranks take turns at something they share:
    mpisync-batch shows and resets the tasks of batches, mpisync-top shows the locks of running jobs,
    and mpisync-trace shows where the ranks of a job wait."""

    homepage = "https://github.com/mpisync/mpisync"
    git = "https://github.com/mpisync/mpisync.git"

    license("MIT OR Apache-2.0", checked_by="mpisync")

    version("main", branch="main")
    # A release is a line of its own: version("0.1.0", tag="v0.1.0", commit="…")

    depends_on("rust@1.88:", type="build")
    depends_on("c", type="build")

    # The programs need no MPI, and read Linux's /proc.
    requires("platform=linux")

    def install(self, spec, prefix):
        cargo = which("cargo", required=True)
        cargo("install", "--locked", "--root", prefix, "--path", "mpisync-cli", "--no-track")
        for program in ("mpisync-batch", "mpisync-top", "mpisync-trace"):
            executable = Executable(join_path(prefix.bin, program))
            mkdirp(prefix.share.man.man1, prefix.share.join("bash-completion").completions)
            with open(join_path(prefix.share.man.man1, f"{program}.1"), "w") as page:
                executable("man", output=page)
            with open(join_path(prefix.share, "bash-completion", "completions", program), "w") as script:
                executable("completions", "bash", output=script)

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_install(self):
        for program in ("mpisync-batch", "mpisync-top", "mpisync-trace"):
            Executable(join_path(self.prefix.bin, program))("--version")
