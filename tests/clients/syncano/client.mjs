// What @syncano/client can do with the socket: node client.mjs <host>; prints each result, and the addresses it called.
import Syncano from '@syncano/client'

const s = new Syncano('any-name', { host: process.argv[2] })
const failure = (promise) => promise.then(
  (value) => ({ value }),
  ({ response: { status, data } }) => ({ status, data })
)

const john = { username: 'john@email.com', password: 'superpass123' }
const results = {}
results.registered = await s.post('user-auth/register', john)
results.twice = await failure(s.post('user-auth/register', john))
results.anonymous = await failure(s.post('user-auth/update', { username: 'jim@email.com' }))
s.setToken(results.registered.token)
results.address = s.url('user-auth/update')
results.updated = await s.post('user-auth/update', { username: 'jim@email.com' })
results.loggedIn = await s.post('user-auth/login', { username: 'jim@email.com', password: 'superpass123' })
results.wrong = await failure(s.post('user-auth/login', john))
results.changed = await s.post('user-auth/update', { password: 'another password' })
results.revoked = await failure(s.post('user-auth/delete'))
s.setToken((await s.post('user-auth/login', { username: 'jim@email.com', password: 'another password' })).token)
results.deleted = await s.post('user-auth/delete')
results.gone = await failure(s.post('user-auth/delete'))
console.log(JSON.stringify(results))
