/// The version of the way in which times are taken.
///
/// Raise it with every change after which the same kernel would show another time: what a sample holds, how it is warmed up,
/// which pages it works in, what counts as disturbed, which statistic is reported. A tuning store's times of another version are then
/// retired, all of them, and a check of two builds that measure by different versions says so. Speed of the harness itself,
/// messages, new modes and what a time is held against (the roofline) leave it alone.
public let harnessVersion = 3
