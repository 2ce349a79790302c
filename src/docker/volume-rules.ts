/** Which options a volume may have: those with which it is no window onto the host's files. */
import * as v from "valibot";

const memory = v.strictObject({
  type: v.literal("tmpfs"),
  device: v.optional(v.literal("tmpfs"), "tmpfs"),
  o: v.optional(
    v.pipe(
      v.string(),
      v.regex(
        /^(size=\d{1,12}[kmg]?|uid=\d{1,10}|gid=\d{1,10}|mode=[0-7]{3,4})(,(size=\d{1,12}[kmg]?|uid=\d{1,10}|gid=\d{1,10}|mode=[0-7]{3,4}))*$/,
        "expected size, uid, gid and mode only",
      ),
    ),
  ),
});

/** Of the driver `local`. */
export const driverOptions = v.union(
  [v.strictObject({}), memory],
  'expected {"type": "tmpfs"}: other devices are the host\'s',
);
