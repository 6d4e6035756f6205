// What @syncano/core can do with users: node core.mjs <token>; prints each result.
import Syncano from '@syncano/core'

const { users } = new Syncano({ token: process.argv[2], instanceName: 'any-name' })
const fresh = () => new Syncano({ token: process.argv[2], instanceName: 'any-name' }).users // queries stay with it
const failure = (promise) => promise.then(
  (value) => ({ value }),
  ({ message, status }) => ({ message, status })
)

const john = { username: 'john@email.com', password: 'superpass123' }
const results = {}
results.created = await users.create(john)
const { id } = results.created
results.twice = await failure(users.create(john))
results.found = await fresh().find(id)
results.foundMany = await fresh().find([id, '0'.repeat(24)])
results.foundNobody = await fresh().find('0'.repeat(24))
results.where = await fresh().where('username', 'eq', 'john@email.com').list()
results.whereTwoArguments = await fresh().where('username', 'john@email.com').firstOrFail()
results.orWhere = await fresh().where('username', 'eq', 'root').orWhere('id', 'eq', id).list()
results.badWhere = await failure(fresh().where('created_at', 'gt', '2016-02-13').list())
results.listed = (await fresh().list()).map(({ username }) => username)
results.taken = (await fresh().take(3).list()).map(({ username }) => username)
results.updated = await fresh().update(id, { username: 'jim@email.com', password: 'another password' })
results.loggedIn = await fresh().login({ username: 'jim@email.com', password: 'another password' })
results.notLoggedIn = await failure(fresh().login(john))
results.firstOrCreate = await fresh().firstOrCreate({ username: 'jim@email.com' }, { password: 'superpass123' })
results.deleted = (await fresh().delete(id)) ?? null
results.deletedTwice = await failure(fresh().delete(id))
results.stranger = await failure(new Syncano({ token: 'wrong', instanceName: 'any-name' }).users.list())
console.log(JSON.stringify(results))
