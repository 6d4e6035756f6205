// syncano/<yoursocektname>/<endpointname>.js
import Syncano from '@syncano/core'

export default async (ctx) => {
  const {response, users} = new Syncano(ctx)
  const {args} = ctx 

  const user = await users.create({
    username: args.username,
    password: args.password
  })

  response.json({msg: `User with ID ${user.id} created!`})
}
