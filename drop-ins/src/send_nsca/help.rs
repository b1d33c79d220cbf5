//! What `send_nsca` says about itself.

use crate::question::Question;

/// How the original names itself.
const ORIGINAL: &str = "NSCA Client 2.10.2";

/// The answer to `question`.
pub(super) fn answer(question: Question, program_name: &str) -> String {
    question.answer(ORIGINAL, program_name, HELP)
}

const HELP: &str = "\
[--quiet] -H <host_address> [-p port] [-to to_sec] [-d delim] [-ds set_delim] \
[-c config_file] [--legacy-2-7-mode]

Reads check results from standard input and sends them to an NSCA daemon.

Options:
  -H <host_address>   name or address of the machine where the daemon runs; without -H, the first argument
  -p <port>           the daemon's TCP port; default: 5667
  -to <seconds>       time that everything together may take; default: 10
  -d <delim>          what separates fields, a character or a number such as 0x09; default: tab
  -ds <set_delim>     what separates check results, likewise; default: ETB, 0x17
  -c <config_file>    encryption and password; default: /etc/send_nsca.cfg
  --quiet             says nothing when all went well
  --legacy-2-7-mode   packets for daemons of NSCA 2.7; send_nsca.cfg has the last word

A service check:  <host_name>[tab]<service_description>[tab]<return_code>[tab]<plugin_output>
A host check:     <host_name>[tab]<return_code>[tab]<plugin_output>
Several check results are separated by ETB characters; a newline is part of the output.
";
