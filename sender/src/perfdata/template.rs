//! What the core has to write: one frame per result, as a line of text.
//!
//! ```text
//! <us1:S>host<us1:|>description<us1:|>last check<us1:|>state id<us1:|>state type<us1:|>attempt<us1:|>check type
//!        <us1:|>output<us1:|>perfdata<us1:|>long output<us1:|>host<us1:|>description<us1:|>last check<us1:.>⏎
//! <us1:H>host<us1:|>last check<us1:|>state id<us1:|>state type<us1:|>attempt<us1:|>check type
//!        <us1:|>output<us1:|>perfdata<us1:|>long output<us1:|>host<us1:|>last check<us1:.>⏎
//! ```
//!
//! Object and time stand at both ends: the head of one result glued to the tail of another is recognised, even if
//! both are of one object. They come before everything else, so that a head that was cut within them leaves every
//! other field to the line that follows.
//!
//! Found with Nagios 4.4.6: templates keep every byte but for spaces at their end; `\t` and `\n` become
//! tab and newline; texts come unchanged (quotes, `$`, backticks, tabs, control bytes, bytes that are no UTF-8), only
//! the core itself turns `;` to `:` in the output and joins several lines of perfdata with spaces; long output comes with
//! newline escaped as `\n` and backslash as `\\`; no field ever holds a newline. The macro of the check type stays as
//! it is on cores that do not know it.

use std::path::Path;

/// Begins a service's frame.
pub const SERVICE_START: &str = "<us1:S>";
/// Begins a host's frame.
pub const HOST_START: &str = "<us1:H>";
/// Stands between two fields.
pub const SEPARATOR: &str = "<us1:|>";
/// Ends a frame.
pub const END: &str = "<us1:.>";

pub(crate) const SERVICE_MACROS: [&str; 13] = [
    "$HOSTNAME$",
    "$SERVICEDESC$",
    "$LASTSERVICECHECK$",
    "$SERVICESTATEID$",
    "$SERVICESTATETYPE$",
    "$SERVICEATTEMPT$",
    "$SERVICECHECKTYPE$",
    "$SERVICEOUTPUT$",
    "$SERVICEPERFDATA$",
    "$LONGSERVICEOUTPUT$",
    "$HOSTNAME$",
    "$SERVICEDESC$",
    "$LASTSERVICECHECK$",
];

pub(crate) const HOST_MACROS: [&str; 11] = [
    "$HOSTNAME$",
    "$LASTHOSTCHECK$",
    "$HOSTSTATEID$",
    "$HOSTSTATETYPE$",
    "$HOSTATTEMPT$",
    "$HOSTCHECKTYPE$",
    "$HOSTOUTPUT$",
    "$HOSTPERFDATA$",
    "$LONGHOSTOUTPUT$",
    "$HOSTNAME$",
    "$LASTHOSTCHECK$",
];

/// The value of `service_perfdata_file_template`.
#[must_use]
pub fn service() -> String {
    format!("{SERVICE_START}{}{END}", SERVICE_MACROS.join(SEPARATOR))
}

/// The value of `host_perfdata_file_template`.
#[must_use]
pub fn host() -> String {
    format!("{HOST_START}{}{END}", HOST_MACROS.join(SEPARATOR))
}

/// The lines for the core's main configuration file; the same for Nagios 3 and 4, Icinga 1 and Naemon.
///
/// Where another program owned the perfdata file before, its template may stay in front of ours on the same line:
/// `perfdata_copy_to` then passes that part on.
#[must_use]
pub fn core_configuration(fifo: &Path) -> String {
    let mut lines = String::from("process_performance_data=1\n");
    for (kind, template) in [("service", service()), ("host", host())] {
        lines.push_str(&format!(
            "{kind}_perfdata_file={fifo}\n\
             {kind}_perfdata_file_mode=p\n\
             {kind}_perfdata_file_template={template}\n\
             {kind}_perfdata_file_processing_interval=0\n\
             {kind}_perfdata_process_empty_results=1\n",
            fifo = fifo.display()
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_gets_eleven_lines() {
        let lines = core_configuration(Path::new("/run/p.fifo"));
        assert_eq!(lines.lines().count(), 11);
        assert!(lines.contains("\nhost_perfdata_file=/run/p.fifo\n"));
        assert!(lines.contains(
            "\nhost_perfdata_file_template=<us1:H>$HOSTNAME$<us1:|>$LASTHOSTCHECK$<us1:|>$HOSTSTATEID$<us1:|>\
             $HOSTSTATETYPE$<us1:|>$HOSTATTEMPT$<us1:|>$HOSTCHECKTYPE$<us1:|>$HOSTOUTPUT$<us1:|>$HOSTPERFDATA$<us1:|>\
             $LONGHOSTOUTPUT$<us1:|>$HOSTNAME$<us1:|>$LASTHOSTCHECK$<us1:.>\n"
        ));
    }

    #[test]
    fn head_and_tail_name_the_same() {
        assert_eq!(SERVICE_MACROS[..3], SERVICE_MACROS[10..]);
        assert_eq!(HOST_MACROS[..2], HOST_MACROS[9..]);
    }
}
