import { type PythonJson } from "../python/python-json.ts";
import {
  isDict,
  PythonError,
  pythonRepr,
  pythonText,
  pythonTypeName,
  type PythonDict,
  type PythonValue,
} from "../python/python-values.ts";
import { type InputSpec, type NodeCatalog, type NodeClass } from "../nodes/node-catalog.ts";
import { checksItself, fileInputOf } from "./file-inputs.ts";
import { coerce, lessThan, outputType, typeName } from "./input-types.ts";
import {
  innerException,
  outerException,
  ValidationException,
  type ValidationError,
} from "./validation-error.ts";
import { type ValidationRules } from "./validation-rules.ts";

interface Outcome {
  readonly valid: boolean;
  readonly errors: ValidationError[];
}

/** An error does not repeat lists that are longer than this. */
const listShownMax = 20;

/** Validates nodes from the outputs upwards; every node once, except inside a cycle. */
export class NodeInputValidator {
  readonly #nodes: ReadonlyMap<string, PythonDict>;
  readonly #catalog: NodeCatalog;
  readonly #rules: ValidationRules;
  readonly #fileExists: (annotatedName: string) => boolean;
  readonly #validated = new Map<string, Outcome>();
  /** The nodes from an output to the node that is being validated, in that order. */
  readonly #inProgress = new Set<string>();

  constructor(
    nodes: ReadonlyMap<string, PythonDict>,
    catalog: NodeCatalog,
    rules: ValidationRules,
    fileExists: (annotatedName: string) => boolean,
  ) {
    this.#nodes = nodes;
    this.#catalog = catalog;
    this.#rules = rules;
    this.#fileExists = fileExists;
  }

  outcomes(): ReadonlyMap<string, Outcome> {
    return this.#validated;
  }

  validateOutput(nodeId: string): Outcome {
    try {
      return this.#validateNode(nodeId);
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      this.#inProgress.clear();
      const outcome = { valid: false, errors: [outerException(error)] };
      this.#validated.set(nodeId, outcome);
      return outcome;
    }
  }

  /**
   * A node that is reached again while it is being validated closes a cycle. A server of 0.3.64 recurses until Python
   * gives up, and then reports the nodes of the cycle as invalid, without any error of their own; one of 0.28 names the
   * cycle.
   */
  #validateNode(nodeId: string): Outcome {
    const known = this.#validated.get(nodeId);
    if (known) return known;
    if (this.#inProgress.has(nodeId)) return this.#closedCycle(nodeId);
    this.#inProgress.add(nodeId);
    try {
      const outcome = this.#validateInputsOf(nodeId);
      const cycle = this.#validated.get(nodeId);
      const joined = cycle ? { valid: false, errors: [...cycle.errors, ...outcome.errors] } : outcome;
      this.#validated.set(nodeId, joined);
      return joined;
    } finally {
      this.#inProgress.delete(nodeId);
    }
  }

  #closedCycle(nodeId: string): Outcome {
    if (!this.#rules.namesCycles) return { valid: false, errors: [] };
    const path = [...this.#inProgress];
    const cycle = path.slice(path.indexOf(nodeId));
    const text = [...cycle, nodeId].map((id) => `${id} (${this.#classOf(id).name})`).join(" -> ");
    for (const id of cycle) {
      this.#validated.set(id, { valid: false, errors: [dependencyCycle(id, cycle, text)] });
    }
    return { valid: false, errors: [] };
  }

  #validateInputsOf(nodeId: string): Outcome {
    const inputs = this.#nodes.get(nodeId)?.get("inputs");
    if (inputs === undefined) throw new ValidationException("KeyError", "'inputs'", 730);
    const nodeClass = this.#classOf(nodeId);
    const given = isDict(inputs) ? inputs : noInputs(inputs, nodeClass);
    const errors: ValidationError[] = [];
    let valid = true;
    for (const input of this.#rules.inputsOf(nodeClass, given)) {
      const value = given.get(input.name);
      if (value === undefined) {
        const shown = this.#rules.shortName(nodeClass, input);
        if (input.category === "required") errors.push(requiredMissing(input, shown));
      } else if (Array.isArray(value)) {
        valid = this.#validateLink(nodeClass, input, value, errors) && valid;
      } else {
        const error = this.#validateValue(nodeClass, input, value, given);
        if (error) errors.push(error);
      }
    }
    errors.push(...this.#validateFile(nodeClass, given));
    return { valid: valid && errors.length === 0, errors };
  }

  #validateLink(
    nodeClass: NodeClass,
    input: InputSpec,
    link: PythonValue[],
    errors: ValidationError[],
  ): boolean {
    const config = this.#configOf(nodeClass, input);
    if (link.length !== 2) {
      errors.push({
        type: "bad_linked_input",
        message: "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        details: input.name,
        extra_info: { input_name: input.name, input_config: config, received_value: link },
      });
      return false;
    }
    const [sourceId = null, slot = null] = link;
    const source = this.#linkedNode(sourceId);
    const receivedType = outputType(this.#classOf(source), slot);
    if (!this.#rules.typesMatch(receivedType, input.type)) {
      const types = `received_type(${typeName(receivedType)}) mismatch input_type(${typeName(input.type)})`;
      errors.push({
        type: "return_type_mismatch",
        message: "Return type mismatch between linked nodes",
        details: `${input.name}, ${types}`,
        extra_info: {
          input_name: input.name,
          input_config: config,
          received_type: receivedType,
          linked_node: link,
        },
      });
      return false;
    }
    try {
      return this.#validateNode(source).valid;
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      this.#validated.set(source, {
        valid: false,
        errors: [innerException(error, input.name, config, link)],
      });
      return false;
    }
  }

  #validateValue(
    nodeClass: NodeClass,
    input: InputSpec,
    received: PythonValue,
    given: PythonDict,
  ): ValidationError | undefined {
    let value = received;
    if (isDict(value) && value.has("__value__")) {
      value = value.get("__value__") ?? null;
      given.set(input.name, value);
    }
    const config = this.#configOf(nodeClass, input);
    try {
      value = coerce(value, input.type);
      given.set(input.name, value);
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      return {
        type: "invalid_input_type",
        message: `Failed to convert an input value to a ${typeName(input.type)} value`,
        details: `${input.name}, ${pythonText(value)}, ${error.message}`,
        extra_info: {
          input_name: input.name,
          input_config: config,
          received_value: value,
          exception_message: error.message,
        },
      };
    }
    if (checksItself(nodeClass.name, input.name)) return undefined;
    return this.#validateRange(nodeClass, input, value, config);
  }

  #validateRange(
    nodeClass: NodeClass,
    input: InputSpec,
    value: PythonValue,
    config: PythonJson,
  ): ValidationError | undefined {
    const extraInfo = { input_name: input.name, input_config: config, received_value: value };
    const [min, max] = [input.options.get("min"), input.options.get("max")];
    if (min !== undefined && lessThan(value, min)) {
      const message = `Value ${pythonText(value)} smaller than min of ${pythonText(min)}`;
      return { type: "value_smaller_than_min", message, details: input.name, extra_info: extraInfo };
    }
    if (max !== undefined && lessThan(max, value)) {
      const message = `Value ${pythonText(value)} bigger than max of ${pythonText(max)}`;
      return { type: "value_bigger_than_max", message, details: input.name, extra_info: extraInfo };
    }
    const accepted = this.#rules.accepted(this.#catalog, nodeClass, input);
    if (accepted === undefined) return undefined;
    const unlisted = this.#rules.unlisted(input, value, accepted);
    if (unlisted.length === 0) return undefined;
    const isLong = accepted.length > listShownMax;
    const list = isLong ? `(list of length ${accepted.length})` : pythonRepr(accepted);
    return {
      type: "value_not_in_list",
      message: "Value not in list",
      details: `${input.name}: ${this.#rules.quoted(unlisted)} not in ${list}`,
      extra_info: { ...extraInfo, input_config: isLong ? null : config },
    };
  }

  /** Classes whose input names an uploaded file check the folder and not a list. */
  #validateFile(nodeClass: NodeClass, given: PythonDict): ValidationError[] {
    const rule = fileInputOf(nodeClass.name);
    if (rule === undefined) return [];
    const value = given.get(rule.input);
    if (value === undefined) {
      const call = `${nodeClass.name}.${nodeClass.isNewStyle ? "validate_inputs" : "VALIDATE_INPUTS"}()`;
      throw new PythonError("TypeError", `${call} missing 1 required positional argument: '${rule.input}'`);
    }
    if (typeof value !== "string") {
      const type = Array.isArray(value) ? "NoneType" : pythonTypeName(value);
      throw new PythonError("AttributeError", `'${type}' object has no attribute 'endswith'`);
    }
    if (this.#fileExists(value)) return [];
    return [
      {
        type: "custom_validation_failed",
        message: "Custom validation failed for node",
        details: `${rule.input} - Invalid ${rule.noun} file: ${value}`,
        extra_info: { input_name: rule.input },
      },
    ];
  }

  #linkedNode(nodeId: PythonValue): string {
    if (Array.isArray(nodeId) || isDict(nodeId)) {
      throw new ValidationException("TypeError", `unhashable type: '${pythonTypeName(nodeId)}'`, 788);
    }
    if (typeof nodeId === "string" && this.#nodes.has(nodeId)) return nodeId;
    throw new ValidationException("KeyError", pythonRepr(nodeId), 788);
  }

  #classOf(nodeId: string): NodeClass {
    const classType = this.#nodes.get(nodeId)?.get("class_type");
    const nodeClass = typeof classType === "string" ? this.#catalog.get(classType) : undefined;
    if (nodeClass === undefined) throw new PythonError("KeyError", pythonRepr(nodeId));
    return nodeClass;
  }

  #configOf(nodeClass: NodeClass, input: InputSpec): PythonJson {
    return [this.#catalog.accepted(nodeClass, input) ?? input.type, input.options];
  }
}

/** Handles `inputs` that is not a dict: lists and texts can be searched for a name, but not asked for its value. */
function noInputs(inputs: PythonValue, nodeClass: NodeClass): PythonDict {
  if (Array.isArray(inputs) || typeof inputs === "string") {
    if (!nodeClass.inputs.some((input) => inputs.includes(input.name))) return new Map();
    const message = Array.isArray(inputs)
      ? "list indices must be integers or slices, not str"
      : "string indices must be integers, not 'str'";
    throw new ValidationException("TypeError", message, 771);
  }
  throw new ValidationException(
    "TypeError",
    `argument of type '${pythonTypeName(inputs)}' is not iterable`,
    760,
  );
}

function dependencyCycle(nodeId: string, cycle: readonly string[], path: string): ValidationError {
  return {
    type: "dependency_cycle",
    message: "Dependency cycle detected",
    details: path,
    extra_info: { node_id: nodeId, cycle_nodes: cycle },
  };
}

function requiredMissing(input: InputSpec, shownName: string): ValidationError {
  return {
    type: "required_input_missing",
    message: "Required input is missing",
    details: shownName,
    extra_info: { input_name: input.name },
  };
}
