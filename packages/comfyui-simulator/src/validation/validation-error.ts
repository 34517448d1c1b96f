import { type PythonJson } from "../python/python-json.ts";
import { PythonError } from "../python/python-values.ts";

/** One entry of a node's `errors`, in the server's own words (PROTOCOL 2). */
export interface ValidationError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: PythonJson;
}

/** An exception raised while a node is validated, with the line of the server's source that the traceback names. */
export class ValidationException extends PythonError {
  readonly line: number;

  constructor(type: string, message: string, line: number) {
    super(type, message);
    this.name = "ValidationException";
    this.line = line;
  }
}

/** The line where the server's validation calls itself, as in its tracebacks. */
const innerCallLine = 808;
const outerCallLine = 1023;

/** The error on a linked node whose own validation raises. */
export function innerException(
  error: PythonError,
  inputName: string,
  inputConfig: PythonJson,
  link: PythonJson,
): ValidationError {
  return {
    type: "exception_during_inner_validation",
    message: "Exception when validating inner node",
    details: error.message,
    extra_info: {
      input_name: inputName,
      input_config: inputConfig,
      exception_message: error.message,
      exception_type: error.type,
      traceback: [frame(innerCallLine, "validate_inputs"), frame(lineOf(error), "validate_inputs")],
      linked_node: link,
    },
  };
}

/** The error of an output node whose own validation raises. */
export function outerException(error: PythonError): ValidationError {
  return {
    type: "exception_during_validation",
    message: "Exception when validating node",
    details: error.message,
    extra_info: {
      exception_type: error.type,
      traceback: [frame(outerCallLine, "validate_prompt"), frame(lineOf(error), "validate_inputs")],
    },
  };
}

function lineOf(error: PythonError): number {
  return error instanceof ValidationException ? error.line : innerCallLine;
}

function frame(line: number, caller: string): string {
  return `  File "/comfyui/execution.py", line ${line}, in ${caller}\n    <source line>\n`;
}
