/**
 * Pure. The pickle of a torch archive, read without running anything: a machine that knows the opcodes and the five functions that
 * `torch.save(state_dict)` needs, and refuses every other. What comes in is an attacker's.
 *
 * @source Python `pickletools`; torch `_utils._rebuild_tensor_v2`
 */
import type { Dtype } from '../safetensors/index.ts';
import { dtypeOfStorage } from './dtypes.ts';
import { Unreadable } from './unreadable.ts';

/** A function or class that a pickle may name. */
class Named {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** Where the numbers of tensors are: an entry of the archive. */
export class Storage {
  readonly key: string;
  readonly dtype: Dtype;
  /** Numbers in it. */
  readonly length: number;
  constructor(key: string, dtype: Dtype, length: number) {
    this.key = key;
    this.dtype = dtype;
    this.length = length;
  }
}

/** A tensor as named: its numbers are looked up later, if at all. */
export class TensorView {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  constructor(storage: Storage, offset: number, shape: readonly number[], stride: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.stride = stride;
  }
}

export type Value =
  null | boolean | number | string | Value[] | Map<string | number, Value> | Named | Storage | TensorView;

const MOST_OPS = 5_000_000;
const MOST_DEPTH = 100_000;
const MOST_LINE = 200;
const RANK = 8;

const ORDERED_DICT = 'collections.OrderedDict';
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';

const text = new TextDecoder('utf-8', { fatal: true });
const isSize = (value: Value | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The object that the pickle describes. @throws Unreadable */
export function unpickle(bytes: Uint8Array): Value {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let stack: Value[] = [];
  const marks: Value[][] = [];
  const memo = new Map<number, Value>();

  const broken = (detail: string) => new Unreadable('malformed_container', `data.pkl, byte ${at}: ${detail}`);
  const unsafe = (detail: string) => new Unreadable('unsafe_file', `data.pkl, byte ${at}: ${detail}`);
  const take = (n: number): number => {
    if (n < 0 || at + n > bytes.length) throw broken('it ends early');
    at += n;
    return at - n;
  };
  const byte = () => bytes[take(1)]!;
  const int32 = () => view.getInt32(take(4), true);
  const string = (length: number): string => {
    const from = take(length);
    try {
      return text.decode(bytes.subarray(from, at));
    } catch {
      throw broken('a text is not UTF-8');
    }
  };
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0 || end - at > MOST_LINE) throw broken('a name has no end');
    const found = string(end - at);
    at += 1;
    return found;
  };
  const pop = (): Value => {
    const value = stack.pop();
    if (value === undefined) throw broken('nothing is on the stack');
    return value;
  };
  const top = (): Value => {
    const value = stack.at(-1);
    if (value === undefined) throw broken('nothing is on the stack');
    return value;
  };
  const sinceMark = (): Value[] => {
    const found = stack;
    const before = marks.pop();
    if (!before) throw broken('there is no mark');
    stack = before;
    return found;
  };
  const recall = (key: number): void => {
    const value = memo.get(key);
    if (value === undefined) throw broken(`nothing was remembered as ${key}`);
    stack.push(value);
  };
  const setItems = (items: readonly Value[]): void => {
    const dict = top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) throw broken('items are set on what is no dict');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]!;
      if (typeof key !== 'string' && typeof key !== 'number') throw broken('a key is no text and no number');
      dict.set(key, items[i + 1]!);
    }
  };
  const append = (items: readonly Value[]): void => {
    const list = top();
    if (!Array.isArray(list)) throw broken('an item is appended to what is no list');
    for (const item of items) list.push(item);
  };

  const named = (module: string, name: string): Named => {
    const full = `${module}.${name}`;
    const isStorage = module === 'torch' && dtypeOfStorage(name) !== undefined;
    if (isStorage || full === ORDERED_DICT || full === REBUILD_TENSOR || full === REBUILD_PARAMETER)
      return new Named(full);
    throw unsafe(`it names ${full}, which is code: only tensors are read. Save the state_dict alone`);
  };

  const call = (target: Value, args: Value): Value => {
    if (!(target instanceof Named) || !Array.isArray(args)) throw unsafe('it calls what is no function');
    switch (target.name) {
      case ORDERED_DICT:
        if (args.length === 0) return new Map();
        throw broken('an OrderedDict is made of values');
      case REBUILD_TENSOR:
        return tensorOf(args);
      case REBUILD_PARAMETER:
        if (args[0] instanceof TensorView) return args[0];
        throw broken('a parameter is made of what is no tensor');
      default:
        throw unsafe(`it calls ${target.name}`);
    }
  };

  const tensorOf = ([storage, offset, shape, stride]: readonly (Value | undefined)[]): TensorView => {
    if (!(storage instanceof Storage) || !isSize(offset) || !Array.isArray(shape) || !Array.isArray(stride))
      throw broken('a tensor is made of other things');
    if (shape.length !== stride.length || shape.length > RANK || !shape.every(isSize) || !stride.every(isSize))
      throw broken(`a tensor has a shape or strides that are none, or more than ${RANK} dimensions`);
    return new TensorView(storage, offset, [...shape], [...stride]);
  };

  const storageOf = (id: Value): Storage => {
    const [word, kind, key, , length] = Array.isArray(id) ? id : [];
    const dtype =
      kind instanceof Named && kind.name.startsWith('torch.') ? dtypeOfStorage(kind.name.slice(6)) : undefined;
    if (
      word !== 'storage' ||
      dtype === undefined ||
      typeof key !== 'string' ||
      !/^\d{1,9}$/.test(key) ||
      !isSize(length)
    )
      throw broken('a storage is described otherwise than torch does');
    return new Storage(key, dtype, length);
  };

  const long = (length: number): number => {
    if (length > 8) throw broken('a number is longer than 64 bits');
    const from = take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[from + i]!);
    if (length > 0 && bytes[from + length - 1]! & 0x80) value -= 1n << BigInt(8 * length);
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw broken('a number is beyond 2^53');
    return number;
  };

  const tuple = (length: number): void => {
    if (stack.length < length) throw broken('nothing is on the stack');
    stack.push(stack.splice(stack.length - length, length));
  };

  for (let ops = 0; ; ops += 1) {
    if (ops > MOST_OPS || stack.length > MOST_DEPTH || marks.length > MOST_DEPTH) throw broken('it is too long');
    const op = byte();
    switch (op) {
      case 0x80: {
        const protocol = byte(); // PROTO
        if (protocol < 2 || protocol > 4) throw broken(`protocol ${protocol} is not read`);
        break;
      }
      case 0x95: // FRAME
        take(8);
        break;
      case 0x63: // GLOBAL
        stack.push(named(line(), line()));
        break;
      case 0x71: // BINPUT
        memo.set(byte(), top());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(int32(), top());
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, top());
        break;
      case 0x68: // BINGET
        recall(byte());
        break;
      case 0x6a: // LONG_BINGET
        recall(int32());
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4b: // BININT1
        stack.push(byte());
        break;
      case 0x4d: // BININT2
        stack.push(view.getUint16(take(2), true));
        break;
      case 0x4a: // BININT
        stack.push(int32());
        break;
      case 0x8a: // LONG1
        stack.push(long(byte()));
        break;
      case 0x47: // BINFLOAT
        stack.push(view.getFloat64(take(8), false));
        break;
      case 0x58: // BINUNICODE
        stack.push(string(view.getUint32(take(4), true)));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(string(byte()));
        break;
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        break;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x28: // MARK
        marks.push(stack);
        stack = [];
        break;
      case 0x74: {
        const items = sinceMark(); // TUPLE: the stack is another one from here
        stack.push(items);
        break;
      }
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        tuple(op - 0x84);
        break;
      case 0x61: // APPEND
        append([pop()]);
        break;
      case 0x65: // APPENDS
        append(sinceMark());
        break;
      case 0x73: {
        const value = pop(); // SETITEM
        setItems([pop(), value]);
        break;
      }
      case 0x75: // SETITEMS
        setItems(sinceMark());
        break;
      case 0x51: // BINPERSID
        stack.push(storageOf(pop()));
        break;
      case 0x52: {
        const args = pop(); // REDUCE
        stack.push(call(pop(), args));
        break;
      }
      case 0x62: // BUILD: an OrderedDict's _metadata, which says nothing of the tensors
        pop();
        if (!(top() instanceof Map)) throw unsafe('it sets members of an object: only tensors are read');
        break;
      case 0x2e: // STOP
        if (stack.length !== 1 || marks.length > 0) throw broken('it ends with more or less than one object');
        return stack[0]!;
      default:
        throw unsafe(`opcode 0x${op.toString(16)} belongs to no state_dict. Save the state_dict alone`);
    }
  }
}
