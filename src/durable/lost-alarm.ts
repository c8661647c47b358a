/** The platform rings late, and an object's own alarm may wait behind others; an alarm that is this late will not ring any more. */
export const LATE_ALARM_MS = 10 * 60_000;

/** What became of an object's alarm. */
export type AlarmStanding = "none" | "set" | "lost";

/** Whether an object that wants to ring at `due` (null: it does not) will. While its alarm is performed it may seem to be lost. */
export async function alarmStanding(
  storage: DurableObjectStorage,
  due: number | null,
  now: number,
): Promise<AlarmStanding> {
  if (due === null) return "none";
  const at = await storage.getAlarm();
  return at === null || now - at >= LATE_ALARM_MS ? "lost" : "set";
}
