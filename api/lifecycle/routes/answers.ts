/** Response maps of commands: the resource, or what a dry run says. */
import Type, { type TSchema } from 'typebox';
import { DryRun } from '../../../wire/common.ts';

/** 200: done, done before, or a dry run. */
export const commandAnswer = <S extends TSchema>(resource: S) => ({ 200: Type.Union([resource, DryRun]) });
/** 201: made now; 200: there already, or a dry run. */
export const creationAnswer = <S extends TSchema>(resource: S) => ({
  200: Type.Union([resource, DryRun]),
  201: resource,
});

/** One thing: the ETag changes whenever it does, so `If-None-Match` may answer 304. */
export const entityAnswer = <S extends TSchema>(resource: S) => ({
  200: resource,
  304: Type.Null({ description: 'The caller has this version' }),
});
