import { Transform } from "node:stream";
import { MIMEType } from "node:util";

/** What the parts of a form are separated by; `null` = the type names none. */
export function boundaryOf(contentType: string): string | null {
  try {
    return new MIMEType(contentType).params.get("boundary");
  } catch {
    return null;
  }
}

/**
 * Passes a form on up to its last boundary, and reads past what follows (RFC 2046, 5.1.1). The reader of forms ends by itself at
 * the last boundary, and would never answer for a piece that comes after it; nor for a large piece with the boundary in it, which
 * therefore becomes a piece of its own.
 */
export function upToLastBoundary(boundary: string): Transform {
  const last = Buffer.from(`\r\n--${boundary}--`, "latin1");
  // A form may begin with the boundary. This line break counts as a preamble.
  let held: Buffer = Buffer.from("\r\n");
  let hasEnded = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (hasEnded) {
        done();
        return;
      }
      const all = Buffer.concat([held, chunk]);
      const at = all.indexOf(last);
      hasEnded = at >= 0;
      const passed = hasEnded ? at : Math.max(all.length - last.length + 1, 0);
      if (passed > 0) this.push(all.subarray(0, passed));
      if (hasEnded) this.push(last);
      else held = all.subarray(passed);
      done();
    },
    flush(done) {
      done(null, hasEnded ? undefined : held);
    },
  });
}
