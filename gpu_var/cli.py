"""The command line. Each command is parsed here, and done in `gpu_var.commands`-like functions of `gpu_var.report.jobs`."""
